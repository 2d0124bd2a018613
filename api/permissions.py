"""What a key may be allowed to do, and which permission every RPC asks for. An RPC that is not listed is refused."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class Permission(enum.Enum):
    """A right that can be given to an API key."""

    JOURNAL_READ = "journal.read"
    JOURNAL_POST = "journal.post"
    JOURNAL_REVERSE = "journal.reverse"
    ACCOUNTS_OPEN = "accounts.open"
    LEDGERS_CREATE = "ledgers.create"
    PAYOUTS_REQUEST = "payouts.request"
    PAYOUTS_CANCEL = "payouts.cancel"
    PAYOUTS_READ = "payouts.read"
    PARTNERS_READ = "partners.read"
    PARTNERS_MANAGE = "partners.manage"
    KEYS_MANAGE = "keys.manage"
    RAILS_SWITCH = "rails.switch"
    STATEMENTS_IMPORT = "statements.import"
    RECONCILIATION_RUN = "reconciliation.run"
    RECONCILIATION_READ = "reconciliation.read"
    ADJUSTMENTS_PROPOSE = "adjustments.propose"
    ADJUSTMENTS_APPROVE = "adjustments.approve"
    CLOSINGS_READ = "closings.read"
    CLOSINGS_BEGIN = "closings.begin"
    CLOSINGS_SIGN = "closings.sign"
    REVIEWS_READ = "reviews.read"
    REVIEWS_RESOLVE = "reviews.resolve"
    WEBHOOKS_READ = "webhooks.read"
    WEBHOOKS_MANAGE = "webhooks.manage"
    COLLECTIONS_READ = "collections.read"
    COLLECTIONS_MANAGE = "collections.manage"
    RECEIPTS_ALLOCATE = "receipts.allocate"
    RECEIPTS_RETURN = "receipts.return"
    REFUNDS_REQUEST = "refunds.request"
    REFUNDS_APPROVE = "refunds.approve"
    PAYERS_REVEAL = "payers.reveal"
    ORDERS_READ = "orders.read"
    ORDERS_MANAGE = "orders.manage"
    LOANS_READ = "loans.read"
    LOANS_REQUEST = "loans.request"
    LOANS_APPROVE = "loans.approve"
    LOANS_DISBURSE = "loans.disburse"
    LOANS_SERVICE = "loans.service"
    LOANS_WRITE_OFF = "loans.write_off"
    LOAN_PRODUCTS_MANAGE = "loan_products.manage"
    PROMOTIONS_READ = "promotions.read"
    PROMOTIONS_MANAGE = "promotions.manage"
    PROMOTIONS_ACTIVATE = "promotions.activate"
    PROMOTIONS_EXPORT = "promotions.export"
    PROMOTIONS_REDEEM = "promotions.redeem"
    CODES_INSPECT = "codes.inspect"
    PROMPTS_REQUEST = "prompts.request"
    PROMPTS_READ = "prompts.read"
    MESSAGES_READ = "messages.read"
    MESSAGES_RESEND = "messages.resend"
    VAULT_LIST = "vault.list"
    VAULT_WRITE = "vault.write"


# What a partner's key may do unless said otherwise: its own payouts, orders, prompts, promotions and webhooks, and no
# books.
PARTNER_PERMISSIONS = (
    Permission.PAYOUTS_REQUEST,
    Permission.PAYOUTS_CANCEL,
    Permission.PAYOUTS_READ,
    Permission.PARTNERS_READ,
    Permission.ORDERS_READ,
    Permission.ORDERS_MANAGE,
    Permission.PROMPTS_REQUEST,
    Permission.PROMPTS_READ,
    Permission.PROMOTIONS_READ,
    Permission.WEBHOOKS_READ,
    Permission.WEBHOOKS_MANAGE,
)

_BY_SERVICE: Mapping[str, Mapping[str, Permission]] = {
    "daftari.v1.JournalCommandService": {
        "CreateLedger": Permission.LEDGERS_CREATE,
        "OpenAccounts": Permission.ACCOUNTS_OPEN,
        "CloseAccount": Permission.ACCOUNTS_OPEN,
        "SetAccountBounds": Permission.ACCOUNTS_OPEN,
        "PostEntry": Permission.JOURNAL_POST,
        "PostEntries": Permission.JOURNAL_POST,
        "StreamEntries": Permission.JOURNAL_POST,
        "ReverseEntry": Permission.JOURNAL_REVERSE,
    },
    "daftari.v1.JournalQueryService": {
        "GetLedger": Permission.JOURNAL_READ,
        "ListLedgers": Permission.JOURNAL_READ,
        "GetAccount": Permission.JOURNAL_READ,
        "ListAccounts": Permission.JOURNAL_READ,
        "GetBalance": Permission.JOURNAL_READ,
        "ListStatementLines": Permission.JOURNAL_READ,
        "GetTrialBalance": Permission.JOURNAL_READ,
        "GetEntry": Permission.JOURNAL_READ,
        "ListEntries": Permission.JOURNAL_READ,
    },
    "daftari.v1.FinanceQueryService": {
        "GetBalanceSheet": Permission.JOURNAL_READ,
        "GetIncomeStatement": Permission.JOURNAL_READ,
        "ListGeneralLedgerLines": Permission.JOURNAL_READ,
        "StreamGeneralLedger": Permission.JOURNAL_READ,
        "ListClearingAges": Permission.JOURNAL_READ,
        "ListFloatForecasts": Permission.JOURNAL_READ,
        "ListDayLines": Permission.JOURNAL_READ,
    },
    "daftari.v1.PayoutCommandService": {
        "RequestPayout": Permission.PAYOUTS_REQUEST,
        "RequestPayouts": Permission.PAYOUTS_REQUEST,
        "CancelPayout": Permission.PAYOUTS_CANCEL,
    },
    "daftari.v1.PayoutQueryService": {
        "GetPayout": Permission.PAYOUTS_READ,
        "ListPayouts": Permission.PAYOUTS_READ,
        "WatchPayouts": Permission.PAYOUTS_READ,
    },
    "daftari.v1.PartnerCommandService": {
        "CreatePartner": Permission.PARTNERS_MANAGE,
        "SuspendPartner": Permission.PARTNERS_MANAGE,
        "ResumePartner": Permission.PARTNERS_MANAGE,
        "SetPayoutLimit": Permission.PARTNERS_MANAGE,
        "StopRail": Permission.RAILS_SWITCH,
        "ResumeRail": Permission.RAILS_SWITCH,
        "TopUpPartner": Permission.JOURNAL_POST,
        "CreateKey": Permission.KEYS_MANAGE,
        "RevokeKey": Permission.KEYS_MANAGE,
    },
    "daftari.v1.PartnerQueryService": {
        "GetPartner": Permission.PARTNERS_READ,
        "ListPartners": Permission.PARTNERS_READ,
        "ListFundingLines": Permission.PARTNERS_READ,
        "GetPartnerStatement": Permission.PARTNERS_READ,
        "ListPartnerStatementLines": Permission.PARTNERS_READ,
        "ListKeys": Permission.PARTNERS_READ,
    },
    "daftari.v1.CollectionCommandService": {
        "OpenShortcode": Permission.COLLECTIONS_MANAGE,
        "AddReference": Permission.COLLECTIONS_MANAGE,
        "CreateOrder": Permission.ORDERS_MANAGE,
        "CancelOrder": Permission.ORDERS_MANAGE,
        "AllocateReceipt": Permission.RECEIPTS_ALLOCATE,
        "ReallocateReceipt": Permission.RECEIPTS_ALLOCATE,
    },
    "daftari.v1.CollectionQueryService": {
        "ListShortcodes": Permission.COLLECTIONS_READ,
        "GetReceipt": Permission.COLLECTIONS_READ,
        "ListReceipts": Permission.COLLECTIONS_READ,
        "RevealPayer": Permission.PAYERS_REVEAL,
        "GetOrder": Permission.ORDERS_READ,
        "ListOrders": Permission.ORDERS_READ,
    },
    "daftari.v1.LoanCommandService": {
        "CreateLoanProduct": Permission.LOAN_PRODUCTS_MANAGE,
        "RequestLoan": Permission.LOANS_REQUEST,
        "ApproveLoan": Permission.LOANS_APPROVE,
        "RejectLoan": Permission.LOANS_APPROVE,
        "CancelLoan": Permission.LOANS_REQUEST,
        "DisburseLoan": Permission.LOANS_DISBURSE,
        "RepayLoan": Permission.LOANS_SERVICE,
        "SettleLoan": Permission.LOANS_SERVICE,
        "ChargeLoan": Permission.LOANS_SERVICE,
        "WriteOffLoan": Permission.LOANS_WRITE_OFF,
    },
    "daftari.v1.LoanQueryService": {
        "ListLoanProducts": Permission.LOANS_READ,
        "GetLoanProduct": Permission.LOANS_READ,
        "GetCustomer": Permission.LOANS_READ,
        "GetLoan": Permission.LOANS_READ,
        "ListLoans": Permission.LOANS_READ,
        "ListLoanEvents": Permission.LOANS_READ,
        "ListLoanStatementLines": Permission.LOANS_READ,
        "QuoteSettlement": Permission.LOANS_READ,
        "ListLoanAges": Permission.LOANS_READ,
    },
    "daftari.v1.PromotionCommandService": {
        "CreateCampaign": Permission.PROMOTIONS_MANAGE,
        "CreateBatch": Permission.PROMOTIONS_MANAGE,
        "GenerateCodes": Permission.PROMOTIONS_MANAGE,
        "ImportCodes": Permission.PROMOTIONS_MANAGE,
        "ExportCodes": Permission.PROMOTIONS_EXPORT,
        "ActivateBatch": Permission.PROMOTIONS_ACTIVATE,
        "PauseBatch": Permission.PROMOTIONS_MANAGE,
        "ResumeBatch": Permission.PROMOTIONS_MANAGE,
        "CancelBatch": Permission.PROMOTIONS_ACTIVATE,
        "ExpireBatch": Permission.PROMOTIONS_MANAGE,
        "DisableCode": Permission.PROMOTIONS_MANAGE,
        "ReportStolen": Permission.PROMOTIONS_MANAGE,
        "VoidRange": Permission.PROMOTIONS_MANAGE,
        "Redeem": Permission.PROMOTIONS_REDEEM,
        "RedeemCodes": Permission.PROMOTIONS_REDEEM,
        "RetryRedemption": Permission.PROMOTIONS_MANAGE,
    },
    "daftari.v1.PromotionQueryService": {
        "ListCampaigns": Permission.PROMOTIONS_READ,
        "GetBatch": Permission.PROMOTIONS_READ,
        "ListBatches": Permission.PROMOTIONS_READ,
        "ListBatchEvents": Permission.PROMOTIONS_READ,
        "GetCode": Permission.CODES_INSPECT,
        "GetRedemption": Permission.PROMOTIONS_READ,
        "ListRedemptions": Permission.PROMOTIONS_READ,
        "GetCampaignReport": Permission.PROMOTIONS_READ,
    },
    "daftari.v1.PromptCommandService": {"RequestPrompt": Permission.PROMPTS_REQUEST},
    "daftari.v1.PromptQueryService": {"GetPrompt": Permission.PROMPTS_READ, "ListPrompts": Permission.PROMPTS_READ},
    "daftari.v1.ReturnCommandService": {
        "RequestReturn": Permission.RECEIPTS_RETURN,
        "TakeBackReceipt": Permission.RECEIPTS_RETURN,
        "CheckReceipt": Permission.RECEIPTS_RETURN,
    },
    "daftari.v1.ReturnQueryService": {
        "GetReturn": Permission.COLLECTIONS_READ,
        "ListReturns": Permission.COLLECTIONS_READ,
    },
    "daftari.v1.RefundCommandService": {
        "RequestRefund": Permission.REFUNDS_REQUEST,
        "ApproveRefund": Permission.REFUNDS_APPROVE,
        "RejectRefund": Permission.REFUNDS_APPROVE,
    },
    "daftari.v1.RefundQueryService": {
        "GetRefund": Permission.COLLECTIONS_READ,
        "ListRefunds": Permission.COLLECTIONS_READ,
    },
    "daftari.v1.ReconciliationCommandService": {
        "ImportStatement": Permission.STATEMENTS_IMPORT,
        "RunReconciliation": Permission.RECONCILIATION_RUN,
    },
    "daftari.v1.ReconciliationQueryService": {
        "GetReconciliationRun": Permission.RECONCILIATION_READ,
        "ListReconciliationRuns": Permission.RECONCILIATION_READ,
        "ListReconciliationDecisions": Permission.RECONCILIATION_READ,
    },
    "daftari.v1.AdjustmentCommandService": {
        "ProposeAdjustments": Permission.ADJUSTMENTS_PROPOSE,
        "ApproveAdjustment": Permission.ADJUSTMENTS_APPROVE,
        "RejectAdjustment": Permission.ADJUSTMENTS_APPROVE,
    },
    "daftari.v1.AdjustmentQueryService": {
        "GetAdjustment": Permission.RECONCILIATION_READ,
        "ListAdjustments": Permission.RECONCILIATION_READ,
        "ListAdjustmentBreaks": Permission.RECONCILIATION_READ,
    },
    "daftari.v1.ClosingCommandService": {
        "BeginClose": Permission.CLOSINGS_BEGIN,
        "SignClose": Permission.CLOSINGS_SIGN,
        "ReopenClose": Permission.CLOSINGS_BEGIN,
    },
    "daftari.v1.ClosingQueryService": {
        "ListClosings": Permission.CLOSINGS_READ,
        "GetCloseReport": Permission.CLOSINGS_READ,
    },
    "daftari.v1.ReviewCommandService": {"ResolveReview": Permission.REVIEWS_RESOLVE},
    "daftari.v1.ReviewQueryService": {
        "GetReview": Permission.REVIEWS_READ,
        "ListReviews": Permission.REVIEWS_READ,
    },
    "daftari.v1.WebhookCommandService": {
        "CreateWebhookEndpoint": Permission.WEBHOOKS_MANAGE,
        "RotateWebhookSecret": Permission.WEBHOOKS_MANAGE,
        "DisableWebhookEndpoint": Permission.WEBHOOKS_MANAGE,
        "EnableWebhookEndpoint": Permission.WEBHOOKS_MANAGE,
        "PingWebhookEndpoint": Permission.WEBHOOKS_MANAGE,
        "ReplayWebhookDelivery": Permission.WEBHOOKS_MANAGE,
        "ReplayDeadWebhookDeliveries": Permission.WEBHOOKS_MANAGE,
    },
    "daftari.v1.WebhookQueryService": {
        "ListWebhookEndpoints": Permission.WEBHOOKS_READ,
        "GetWebhookDelivery": Permission.WEBHOOKS_READ,
        "ListWebhookDeliveries": Permission.WEBHOOKS_READ,
    },
    "daftari.v1.TextMessageCommandService": {"ResendTextMessage": Permission.MESSAGES_RESEND},
    "daftari.v1.TextMessageQueryService": {
        "GetTextMessage": Permission.MESSAGES_READ,
        "ListTextMessages": Permission.MESSAGES_READ,
    },
    "daftari.v1.VaultCommandService": {"PutSecret": Permission.VAULT_WRITE},
    "daftari.v1.VaultQueryService": {"ListSecrets": Permission.VAULT_LIST},
}

# By full name as the wire carries it: "/daftari.v1.JournalCommandService/PostEntry".
PERMISSIONS: Mapping[str, Permission] = MappingProxyType(
    {
        f"/{service}/{method}": permission
        for service, methods in _BY_SERVICE.items()
        for method, permission in methods.items()
    }
)

# Answered without a key, so that load balancers and `grpcurl list` work; they tell nothing about the books.
OPEN_SERVICES = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
