"""What works with statements, and with what comes of them, in this process."""

from __future__ import annotations

from api.statements import StatementDesk
from api.wiring import Application
from ledger.journal.poster import Poster
from ledger.reconciliation.adjusting import AdjustmentDesk
from ledger.reconciliation.importing import PURPOSE, Importer
from ledger.reconciliation.run import Reconciler
from ledger.sealing import Sealer


def statement_desk(application: Application) -> StatementDesk:
    """Takes statements in, and holds them against the books."""
    return StatementDesk(
        engine=application.engine,
        directory=application.directory,
        importer=Importer(sealer=Sealer(application.profile.secret, purpose=PURPOSE), ids=application.ids),
        reconciler=Reconciler(recorder=application.recorder, ids=application.ids),
        now=application.now,
    )


def adjustment_desk(application: Application) -> AdjustmentDesk:
    """Puts right what a run left open."""
    return AdjustmentDesk(Poster(directory=application.directory, ids=application.ids), application.receipt_recorder)
