"""The only reader of the environment: every setting of the service, prefix DAFTARI_, with its default and meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, at start. Secrets have no readable repr."""

    model_config = SettingsConfigDict(env_prefix="DAFTARI_", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL 15-18 to use as the application role; wins over the embedded one"
    )
    admin_url: SecretStr | None = Field(
        default=None, description="An administrator's URL, for `daftari database prepare` only"
    )
    migrator_password: SecretStr | None = Field(
        default=None, description="Password `daftari database prepare` sets for daftari_migrator"
    )
    app_password: SecretStr | None = Field(
        default=None, description="Password `daftari database prepare` sets for daftari_app"
    )
    reader_password: SecretStr | None = Field(
        default=None, description="Password `daftari database prepare` sets for daftari_reader"
    )
    data_directory: Path = Field(
        default=Path(".daftari"), description="Where the embedded PostgreSQL and the installation's secret live"
    )
    postgres_bin: Path | None = Field(
        default=None, description="Directory of PostgreSQL binaries for the embedded server"
    )
    database_pool_size: int = Field(default=16, ge=2, le=200, description="Connections one process opens at most")
    secret: SecretStr | None = Field(
        default=None, description="64 hexadecimal digits that seal MSISDNs; required with a database URL"
    )

    vault_public_key: str = Field(
        default="",
        description="What `daftari vault key` prints, for processes without a vault key: it writes and reads nothing",
    )
    vault_key: SecretStr | None = Field(
        default=None,
        description="64 hexadecimal digits that open the vault, for workers alone; made of the secret if empty beside "
        "the embedded PostgreSQL",
    )
    vault_key_file: Path | None = Field(default=None, description="A file with the same, for a key that is mounted")
    vault_key_old: SecretStr | None = Field(
        default=None, description="The key before, for workers and `daftari vault rotate` during a rotation"
    )

    seal_key: SecretStr | None = Field(
        default=None,
        description="64 hexadecimal digits that sign the seals of entries, for workers alone; empty to seal nothing",
    )
    seal_key_file: Path | None = Field(default=None, description="A file with the same, for a key that is mounted")
    seal_seconds: float = Field(default=10, gt=0, description="How often new entries are sealed")

    grpc_listen: str = Field(default="127.0.0.1:50051", description="HOST:PORT of the gRPC services")
    tls_certificate: Path | None = Field(default=None, description="PEM chain for gRPC; required off loopback")
    tls_key: Path | None = Field(default=None, description="PEM key for gRPC; required off loopback")
    http_listen: str = Field(default="127.0.0.1:8080", description="HOST:PORT of the callback edge")
    callback_sources: list[str] = Field(
        default=[], description="Networks callbacks are taken from; empty for any. Never sufficient to believe one"
    )
    callback_proxies: list[str] = Field(
        default=[], description="Proxies whose X-Forwarded-For is read, for callback_sources"
    )
    http_behind_tls: bool = Field(
        default=False, description="Whether something in front of http_listen ends TLS; REST off loopback needs it"
    )
    public_url: str = Field(
        default="",
        description="Where providers reach the callback edge; empty for the address of the edge in this process",
    )

    daraja_base_url: str = Field(
        default="", description="Daraja's host; empty leaves the rail off. https://api.safaricom.co.ke in production"
    )
    daraja_secrets: Literal["environment", "vault"] = Field(
        default="environment", description="Where the rail's secrets are: below, or in the vault of the ledger"
    )
    daraja_consumer_key: SecretStr = Field(default=SecretStr(""), description="OAuth consumer key")
    daraja_consumer_secret: SecretStr = Field(default=SecretStr(""), description="OAuth consumer secret")
    daraja_initiator_name: str = Field(default="", description="API operator's user name")
    daraja_initiator_password: SecretStr = Field(default=SecretStr(""), description="API operator's password")
    daraja_passkey: SecretStr = Field(
        default=SecretStr(""), description="Passkey of M-Pesa Express; empty where no payer is prompted"
    )
    daraja_certificate: Path | None = Field(
        default=None, description="Safaricom's certificate for the SecurityCredential, PEM or DER"
    )
    daraja_shortcode: str = Field(default="", description="The shortcode that pays out")
    daraja_api_version: Literal["v3", "v1"] = Field(
        default="v3", description="B2C API version; v1 only where v3 is refused"
    )
    daraja_resubmit: bool = Field(
        default=False,
        description="Whether a payout to a person, without news after two status queries, is sent again under the same "
        "reference, which v3 refuses if it has seen it",
    )

    momo_base_url: str = Field(
        default="", description="MTN MoMo's host; empty leaves the rail off. https://momoapi.momo.africa in production"
    )
    momo_target_environment: str = Field(
        default="mtnrwanda", description="Its X-Target-Environment, which decides the currency"
    )
    momo_wallet: str = Field(default="", description="What the books call the wallet, as `books open` names it")
    momo_checks_payees: bool = Field(
        default=False,
        description="Ask for a payee's wallet before a payout first goes; without one it fails: PAYEE_NOT_REGISTERED",
    )
    momo_secrets: Literal["environment", "vault"] = Field(
        default="environment", description="Where the rail's secrets are: below, or in the vault of the ledger"
    )
    momo_disbursement_subscription_key: SecretStr = Field(
        default=SecretStr(""), description="Subscription key of disbursement, which pays out"
    )
    momo_disbursement_credential: SecretStr = Field(
        default=SecretStr(""), description="USER:KEY of it: API user and key, or user id and credential token"
    )
    momo_collection_subscription_key: SecretStr = Field(
        default=SecretStr(""),
        description="Subscription key of collection; empty where no payer is prompted",
    )
    momo_collection_credential: SecretStr = Field(default=SecretStr(""), description="USER:KEY of it")
    momo_old_base_url: str = Field(
        default="",
        description="The platform in use before: what was sent there is asked about there; empty for none",
    )
    momo_old_disbursement_credential: SecretStr = Field(
        default=SecretStr(""), description="USER:KEY of disbursement on it"
    )
    momo_old_collection_credential: SecretStr = Field(default=SecretStr(""), description="USER:KEY of collection on it")

    africastalking_base_url: str = Field(
        default="",
        description="Africa's Talking's host for messages; empty leaves it off. https://api.africastalking.com",
    )
    africastalking_username: str = Field(default="", description="Its username; `sandbox` in its sandbox")
    africastalking_secrets: Literal["environment", "vault"] = Field(
        default="environment", description="Where its key is: below, or in the vault of the ledger"
    )
    africastalking_key: SecretStr = Field(default=SecretStr(""), description="Its API key")
    pindo_base_url: str = Field(
        default="", description="Pindo's host for messages; empty leaves it off. https://api.pindo.io in production"
    )
    pindo_account: str = Field(default="main", description="What the vault calls the account")
    pindo_currency: str = Field(default="USD", description="The currency of its costs, which its answers do not name")
    pindo_secrets: Literal["environment", "vault"] = Field(
        default="environment", description="Where its token is: below, or in the vault of the ledger"
    )
    pindo_token: SecretStr = Field(default=SecretStr(""), description="Its bearer token")

    clock_skew_seconds_max: float = Field(
        default=5, gt=0, description="How far a host's clock may be from the database's; further off it does not start"
    )
    worker_poll_seconds: float = Field(
        default=0.2, gt=0, description="How long an idle worker rests when nothing wakes it"
    )
    worker_calls_max: int = Field(default=32, ge=1, le=1000, description="Calls to a rail under way at once")
    lease_seconds: float = Field(
        default=600, gt=0, description="How long a claimed instruction stays claimed; far above the slowest call"
    )
    result_deadline_seconds: float = Field(
        default=900, gt=0, description="Without a result for this long a submitted payout is unknown"
    )
    query_schedule_seconds: list[float] = Field(
        default=[60.0, 300.0, 1800.0, 7200.0],
        min_length=1,
        description="When to ask the rail about a payout of unknown outcome, counted from when it became unknown",
    )
    confirm_above_minor_units: int | None = Field(
        default=None,
        ge=0,
        description="Payouts over more end only as a status query says, not as a callback alone does; empty for none",
    )
    verify_above_minor_units: int | None = Field(
        default=None,
        ge=0,
        description="Receipts over more are given to nobody before a status query or a list confirms them, whatever a "
        "callback says; empty for none",
    )
    query_patience_seconds: float = Field(
        default=600, gt=0, description="How long after the last question a person is asked"
    )
    receipt_patience_seconds: float = Field(
        default=300, gt=0, description="How long money whose reference means nothing waits before a person is asked"
    )
    receipt_list_seconds: float = Field(
        default=0, ge=0, description="How often providers are asked for what came in and no callback told; 0 for never"
    )
    promotion_look_seconds: float = Field(
        default=10, gt=0, description="How often a worker looks for batches to end and redemptions to pay again"
    )
    balance_query_seconds: float = Field(
        default=300, ge=0, description="How often providers are asked what they hold; 0 for never"
    )
    rail_timeout_seconds: float = Field(default=30, gt=0, description="How long one call to a rail may take")
    webhook_allow_loopback: bool = Field(
        default=False, description="Whether webhooks may go to this machine, by http too; for demonstrations"
    )
    webhook_ports: list[int] = Field(default=[443, 8443], min_length=1, description="Ports webhooks may go to")
    webhook_timeout_seconds: float = Field(default=15, gt=0, description="How long one try of a webhook may take")
    webhook_calls_max: int = Field(default=64, ge=1, le=1000, description="Webhooks under way at once in one process")
    webhook_endpoint_calls_max: int = Field(
        default=4, ge=1, le=100, description="Webhooks under way at once to one endpoint; 1 while it fails"
    )
    webhook_retry_seconds: list[float] = Field(
        default=[5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0],
        min_length=1,
        description="The rests between the tries of a webhook, drawn out by up to a tenth; after the last it is dead",
    )
    webhook_probe_seconds: float = Field(
        default=600, gt=0, description="How often a failing endpoint is tried though nothing is due"
    )
    alert_url: SecretStr = Field(
        default=SecretStr(""),
        description="Where operators are alerted, for workers alone; empty for nowhere. Called as webhooks are",
    )
    alert_format: Literal["webhook", "slack"] = Field(
        default="webhook",
        description="`webhook`, signed as partners' are, or `slack` for incoming webhooks like its own",
    )
    alert_secret: SecretStr = Field(
        default=SecretStr(""), description="`whsec_` and base 64, which signs alerts of the format `webhook`"
    )
    alert_look_seconds: float = Field(
        default=30, gt=0, description="How often a worker looks for what operators are alerted of"
    )
    alert_repeat_seconds: float = Field(
        default=14_400, gt=0, description="After which time an alert that is open yet is told again"
    )
    alert_failures: int = Field(default=10, ge=1, description="So many failures over one rail or provider are an alert")
    alert_failures_seconds: float = Field(default=900, gt=0, description="The time within which they are counted")
    alert_unknown_seconds: float = Field(
        default=7_200, gt=0, description="How long a payout may be of unknown outcome before that is an alert"
    )
    alert_float_below: dict[str, int] = Field(
        default={},
        description='Minor units by currency, as JSON: `{"KES": 5000000}`; a float that holds less is an alert',
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Lowest level logged")


class UssdSettings(BaseSettings):
    """What `daftari ussd` reads: it has a key of its own and no database."""

    model_config = SettingsConfigDict(env_prefix="DAFTARI_USSD_", extra="ignore", frozen=True)

    listen: str = Field(default="127.0.0.1:8090", description="HOST:PORT of the USSD gateway")
    path_secret: SecretStr = Field(
        default=SecretStr(""), description="The secret part of the path given to the telco, 32 characters or more"
    )
    core: str = Field(default="127.0.0.1:50051", description="HOST:PORT of the gRPC services")
    core_certificate: Path | None = Field(
        default=None, description="PEM of the authority behind the services' certificate; plaintext on loopback without"
    )
    key: SecretStr = Field(default=SecretStr(""), description="The gateway's API key")
    ledger: str = Field(default="", description="The ledger's code")
    name: str = Field(default="Daftari", max_length=30, description="What callers are welcomed to")
    promotions: bool = Field(default=True, description="Whether codes can be redeemed")
    loan_product: str = Field(
        default="", description="The product of loans between customers; empty where there are none"
    )
    customer_secret: SecretStr = Field(
        default=SecretStr(""),
        description="64 hexadecimal digits that make customers' pseudonyms of their numbers; for ever the same",
    )
    language: Literal["en", "sw", "rw", "pt"] = Field(
        default="en", description="The first language for callers of other countries than those of the languages"
    )
    screen_characters: int = Field(default=182, ge=120, le=182, description="What a screen holds; 160 for some telcos")
    answer_seconds_max: float = Field(
        default=4.0, gt=0, le=12, description="How long the services may take before a caller is told to dial again"
    )
