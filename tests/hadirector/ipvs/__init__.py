"""Tests of the IPVS package; the contract's assertions explain themselves like any test's."""

import pytest

pytest.register_assert_rewrite("tests.hadirector.ipvs.dataplane_contract")
