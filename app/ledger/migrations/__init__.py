"""The schema's history, run by ``app.ledger.upgrade``. A released migration is never edited."""
