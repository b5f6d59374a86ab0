"""The lab: a world of network namespaces to rehearse a configuration in, on a real IPVS kernel."""
