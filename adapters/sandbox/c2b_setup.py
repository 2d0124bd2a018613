"""How C2B is set up: where a shortcode wants to be told, whether it is asked first, how payers are written."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from adapters.sandbox.settings import Registering, SandboxSettings


class ResponseType(enum.Enum):
    """What becomes of a payment whose validation is not answered."""

    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Registration:
    """The addresses of one shortcode or till; both may hold secret path tokens."""

    shortcode: str
    version: str
    response_type: ResponseType
    confirmation_url: str = field(repr=False)
    validation_url: str = field(repr=False)


class C2bSetup:
    """Registrations and habits; the control API changes the habits."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self.start_over()

    def start_over(self) -> None:
        """Nothing registered, neither for C2B nor for Pull; habits as the settings say."""
        self.registrations: dict[str, Registration] = {}
        self.pull_registered: set[str] = set()
        self.external_validation = self._settings.external_validation
        self.validation_patience_seconds = self._settings.validation_patience_seconds
        self.payer_form = self._settings.payer_form
        self.registering = self._settings.registering

    def may_register(self, shortcode: str) -> bool:
        """Whether addresses may be registered: once only, where that is the habit."""
        return self.registering is Registering.FREELY or shortcode not in self.registrations

    def register(self, registration: Registration) -> None:
        """Puts addresses in the place of earlier ones."""
        self.registrations[registration.shortcode] = registration
