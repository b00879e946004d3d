-- The state database, version 1.  Columns bear the names of the fields of `model.order`; an order's terms
-- are columns of the row that holds it.  Times are nanoseconds since the epoch, UTC; decimals are canonical
-- text (no exponent, no trailing zeros), so that equal numbers are equal texts; enums are their values.

CREATE TABLE instance (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    tag   INTEGER NOT NULL CHECK (tag BETWEEN 0 AND 65535),
    nonce INTEGER NOT NULL CHECK (nonce BETWEEN 0 AND 281474976710655),
    key   BLOB    NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    intent_id     TEXT    NOT NULL PRIMARY KEY,
    symbol        TEXT    NOT NULL,
    side          INTEGER NOT NULL CHECK (side IN (1, 2)),
    type          INTEGER NOT NULL CHECK (type BETWEEN 1 AND 7),
    quantity      TEXT    NOT NULL CHECK (quantity <> '' AND quantity NOT GLOB '*[^-.0-9]*'),
    price         TEXT    CHECK (price <> '' AND price NOT GLOB '*[^-.0-9]*'),
    stop_price    TEXT    CHECK (stop_price <> '' AND stop_price NOT GLOB '*[^-.0-9]*'),
    time_in_force INTEGER NOT NULL CHECK (time_in_force BETWEEN 1 AND 4),
    reduce_only   INTEGER NOT NULL CHECK (reduce_only IN (0, 1)),
    expire_ns     INTEGER,
    created_ns    INTEGER NOT NULL,
    group_id      TEXT,
    metadata      TEXT    NOT NULL CHECK (json_valid(metadata)),
    phase         TEXT    NOT NULL CHECK (phase IN
                  ('PENDING', 'ACTIVE', 'CANCEL_REQUESTED', 'SATISFIED', 'CANCELED', 'EXPIRED', 'FAILED')),
    generation    INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    updated_ns    INTEGER NOT NULL
) STRICT;

CREATE INDEX intents_by_symbol ON intents (symbol);
CREATE INDEX intents_by_group  ON intents (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX intents_unsettled ON intents (intent_id)
    WHERE phase NOT IN ('SATISFIED', 'CANCELED', 'EXPIRED', 'FAILED');

CREATE TABLE order_states (
    client_order_id       TEXT    NOT NULL PRIMARY KEY,
    intent_id             TEXT    NOT NULL,
    attempt               INTEGER NOT NULL,
    symbol                TEXT    NOT NULL,
    side                  INTEGER NOT NULL CHECK (side IN (1, 2)),
    type                  INTEGER NOT NULL CHECK (type BETWEEN 1 AND 7),
    quantity              TEXT    NOT NULL CHECK (quantity <> '' AND quantity NOT GLOB '*[^-.0-9]*'),
    price                 TEXT    CHECK (price <> '' AND price NOT GLOB '*[^-.0-9]*'),
    stop_price            TEXT    CHECK (stop_price <> '' AND stop_price NOT GLOB '*[^-.0-9]*'),
    time_in_force         INTEGER NOT NULL CHECK (time_in_force BETWEEN 1 AND 4),
    reduce_only           INTEGER NOT NULL CHECK (reduce_only IN (0, 1)),
    expire_ns             INTEGER,
    generation            INTEGER NOT NULL,
    prepared_ns           INTEGER NOT NULL,
    state                 TEXT    NOT NULL CHECK (state IN
                          ('PREPARED', 'AMBIGUOUS', 'LIVE', 'CLOSING', 'DONE', 'DEAD')),
    status                INTEGER NOT NULL CHECK (status = -1 OR status BETWEEN 1 AND 7),
    exchange_order_id     TEXT,
    filled                TEXT    NOT NULL CHECK (filled <> '' AND filled NOT GLOB '*[^-.0-9]*'),
    fills_qty             TEXT    NOT NULL CHECK (fills_qty <> '' AND fills_qty NOT GLOB '*[^-.0-9]*'),
    reconciliation_status TEXT    NOT NULL,
    last_sync_at          INTEGER NOT NULL,
    venue_ns              INTEGER NOT NULL,
    deadline_ns           INTEGER NOT NULL,
    cancel_sent_ns        INTEGER NOT NULL,
    lookup_sent_ns        INTEGER NOT NULL,
    reason                TEXT    NOT NULL,
    UNIQUE (intent_id, attempt)
) STRICT;

CREATE UNIQUE INDEX one_open_attempt ON order_states (intent_id) WHERE state NOT IN ('DONE', 'DEAD');
CREATE INDEX order_states_by_symbol      ON order_states (symbol);
CREATE INDEX order_states_by_exchange_id ON order_states (exchange_order_id)
    WHERE exchange_order_id IS NOT NULL;

CREATE TRIGGER attempts_keep_their_intent BEFORE UPDATE OF intent_id, attempt ON order_states
WHEN NEW.intent_id <> OLD.intent_id OR NEW.attempt <> OLD.attempt
BEGIN
    SELECT RAISE(ABORT, 'an attempt keeps its intent and number for ever');
END;

-- Executions are facts: whoever writes to this file, they stay what they were.
CREATE TABLE fills (
    position          INTEGER PRIMARY KEY,  -- order of insertion
    trade_id          TEXT    NOT NULL,
    symbol            TEXT    NOT NULL,
    side              INTEGER NOT NULL CHECK (side IN (1, 2)),
    qty               TEXT    NOT NULL CHECK (qty <> '' AND qty NOT GLOB '*[^-.0-9]*'),
    price             TEXT    NOT NULL CHECK (price <> '' AND price NOT GLOB '*[^-.0-9]*'),
    fee               TEXT    NOT NULL CHECK (fee <> '' AND fee NOT GLOB '*[^-.0-9]*'),
    fee_asset         TEXT    NOT NULL,
    is_maker          INTEGER NOT NULL CHECK (is_maker IN (0, 1)),
    exchange_ns       INTEGER NOT NULL,
    client_order_id   TEXT    NOT NULL,
    exchange_order_id TEXT    NOT NULL,
    intent_id         TEXT    NOT NULL,
    UNIQUE (symbol, trade_id)
) STRICT;

CREATE TRIGGER fills_never_change BEFORE UPDATE ON fills
BEGIN
    SELECT RAISE(ABORT, 'fills never change');
END;

CREATE TRIGGER fills_never_go BEFORE DELETE ON fills
BEGIN
    SELECT RAISE(ABORT, 'fills never go away');
END;

CREATE VIEW open_order_states AS
    SELECT * FROM order_states WHERE state NOT IN ('DONE', 'DEAD');

-- What a restart goes on from; `store.api.Loaded` says it in words.
CREATE VIEW unsettled AS
    SELECT intent_id FROM intents WHERE phase NOT IN ('SATISFIED', 'CANCELED', 'EXPIRED', 'FAILED')
    UNION
    SELECT intent_id FROM open_order_states;

CREATE VIEW intents_to_load AS
    SELECT * FROM intents
    WHERE intent_id IN (SELECT intent_id FROM unsettled)
       OR group_id IN (SELECT group_id FROM intents WHERE intent_id IN (SELECT intent_id FROM unsettled));

CREATE VIEW order_states_to_load AS
    SELECT * FROM order_states WHERE intent_id IN (SELECT intent_id FROM intents_to_load)
    UNION
    SELECT * FROM open_order_states;
