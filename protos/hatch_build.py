"""Generates the `daftari.v1` Python modules from `protos/` whenever the project is built or installed.

Used by hatchling as a build hook and, as a script, by `make protos`. Output: `build/protos/daftari/v1`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "protos"


def _program(name: str) -> str:
    """The plugin beside this Python or on the PATH."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise RuntimeError(f"{name} is missing: install the project with its [dev] extra")
    return found


def generate() -> None:
    """Runs protoc over every file under protos/daftari; raises RuntimeError when protoc refuses one."""
    from importlib.resources import files

    from grpc_tools import protoc

    OUTPUT.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path) for path in (ROOT / "protos" / "daftari").rglob("*.proto"))
    arguments = [
        "protoc",
        f"--proto_path={ROOT / 'protos'}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={OUTPUT}",
        f"--grpc_python_out={OUTPUT}",
        f"--mypy_out=quiet:{OUTPUT}",
        f"--mypy_grpc_out=quiet:{OUTPUT}",
        *(f"--plugin={name}={_program(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused the files under protos/: see its message above")
    for package in (OUTPUT / "daftari", OUTPUT / "daftari" / "v1"):
        (package / "__init__.py").write_text('"""Generated from protos/: do not edit."""\n')
        (package / "py.typed").write_text("")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    generate()
    print(f"generated {OUTPUT}")
else:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class ProtoBuildHook(BuildHookInterface[Any]):
        """Generates before every wheel, sdist and editable install."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            generate()
            if version != "editable" and self.target_name == "wheel":
                build_data["force_include"][str(OUTPUT / "daftari")] = "daftari"
