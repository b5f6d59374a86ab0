"""The kernel's virtual server (IPVS): its values, its language, its table and the table's twin."""
