"""Every RPC of the contract asks for a permission, and nothing else is listed."""

from __future__ import annotations

import importlib
import pkgutil

import daftari.v1

from api.permissions import OPEN_SERVICES, PERMISSIONS, Permission


def methods_of_the_contract() -> set[str]:
    modules = [
        importlib.import_module(f"daftari.v1.{found.name}")
        for found in pkgutil.iter_modules(daftari.v1.__path__)
        if found.name.endswith("_pb2")
    ]
    return {
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_rpc_declares_a_permission_and_no_permission_is_declared_for_nothing() -> None:
    assert set(PERMISSIONS) == methods_of_the_contract()


def test_every_permission_is_asked_for_by_some_rpc() -> None:
    assert set(PERMISSIONS.values()) == set(Permission)


def test_no_service_of_the_contract_is_open() -> None:
    services = {method.split("/")[1] for method in methods_of_the_contract()}

    assert services.isdisjoint(OPEN_SERVICES)
