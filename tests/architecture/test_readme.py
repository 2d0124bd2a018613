"""The README says what is: its table of settings is made from the settings, its magic numbers are the sandbox's."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from adapters.sandbox.magic import MAGIC_PREFIX, ROWS
from adapters.sandbox.momo.behaviours import FAULT_NUMBERS, TRANSFER_NUMBERS
from adapters.sandbox.momo.behaviours import PREFIX as MOMO_PREFIX
from api.settings import Settings, UssdSettings

README = Path(__file__).parents[2] / "README.md"


def test_the_table_of_settings_names_every_setting_with_its_default() -> None:
    """A setting without a line in the README cannot land; the message shows the table to paste."""
    text = README.read_text(encoding="utf-8")

    for settings in (Settings, UssdSettings):
        table = settings_table(settings)

        assert table in text, f"put this in README.md instead of the table that is like it:\n{table}"


def test_every_magic_number_in_the_readme_is_one() -> None:
    """Numbers are easily mistyped."""
    numbers = re.findall(rf"\b{MAGIC_PREFIX}(\d{{3}})\b", README.read_text(encoding="utf-8"))

    assert numbers
    assert set(numbers) <= set(ROWS)


def test_every_test_number_of_momo_in_the_readme_is_one() -> None:
    """As above, for the simulated wallet."""
    numbers = re.findall(rf"\b{MOMO_PREFIX}(\d{{3}})\b", README.read_text(encoding="utf-8"))

    assert numbers
    assert set(numbers) <= TRANSFER_NUMBERS.keys() | FAULT_NUMBERS.keys()


def settings_table(settings: type[BaseSettings]) -> str:
    """The settings as a Markdown table."""
    prefix = settings.model_config["env_prefix"]
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    rows += [_row(f"{prefix}{name}", field) for name, field in settings.model_fields.items()]
    return "\n".join(rows)


def _row(name: str, field: FieldInfo) -> str:
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    shown = "" if default in (None, "") else f"`{default}`"
    return f"| `{name.upper()}` | {shown} | {field.description} |"
