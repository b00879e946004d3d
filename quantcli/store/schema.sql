-- The state database, version 2.  Columns bear the names of the fields of `model.order` and `store.api`; an
-- order's terms are columns of the row that holds it.  Times are nanoseconds since the epoch, UTC; decimals are
-- canonical text (no exponent, no needless zeros), so that equal numbers are equal texts; enums are their
-- values; what has parts of its own is JSON.
--
-- Every index is one more page to write in the commit that an order waits for, so there is none that only
-- serves people; and a list of more than two after IN would be made a table for every row that is checked.

CREATE TABLE instance (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    tag   INTEGER NOT NULL CHECK (tag BETWEEN 0 AND 65535),
    nonce INTEGER NOT NULL CHECK (nonce BETWEEN 0 AND 281474976710655),
    key   BLOB    NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL CHECK (value <> '')
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
    phase         TEXT    NOT NULL CHECK (
                  phase = 'PENDING' OR phase = 'ACTIVE' OR phase = 'CANCEL_REQUESTED' OR phase = 'SATISFIED' OR
                  phase = 'CANCELED' OR phase = 'EXPIRED' OR phase = 'FAILED'),
    generation    INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    updated_ns    INTEGER NOT NULL,
    request_id    TEXT    NOT NULL,
    held          INTEGER NOT NULL CHECK (held IN (0, 1)),
    protective    INTEGER NOT NULL CHECK (protective IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_intent_a_request ON intents (request_id) WHERE request_id <> '';
CREATE INDEX intents_by_group  ON intents (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX intents_unsettled ON intents (intent_id)
    WHERE phase = 'PENDING' OR phase = 'ACTIVE' OR phase = 'CANCEL_REQUESTED';

CREATE TRIGGER requests_keep_their_intent BEFORE UPDATE OF request_id ON intents
WHEN NEW.request_id <> OLD.request_id
BEGIN
    SELECT RAISE(ABORT, 'an intent keeps its request id for ever');
END;

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
    state                 TEXT    NOT NULL CHECK (
                          state = 'PREPARED' OR state = 'AMBIGUOUS' OR state = 'LIVE' OR state = 'CLOSING' OR
                          state = 'DONE' OR state = 'DEAD'),
    status                INTEGER NOT NULL CHECK (status = -1 OR status BETWEEN 1 AND 7),
    exchange_order_id     TEXT,
    filled                TEXT    NOT NULL CHECK (filled GLOB '[0-9]*' AND filled NOT GLOB '*[^.0-9]*'
                          AND filled NOT GLOB '0[0-9]*' AND filled NOT GLOB '*.*0' AND filled NOT GLOB '*.'),
    fills_qty             TEXT    NOT NULL CHECK (fills_qty <> '' AND fills_qty NOT GLOB '*[^-.0-9]*'),
    reconciliation_status TEXT    NOT NULL,
    last_sync_at          INTEGER NOT NULL,
    venue_ns              INTEGER NOT NULL,
    deadline_ns           INTEGER NOT NULL,
    cancel_sent_ns        INTEGER NOT NULL,
    lookup_sent_ns        INTEGER NOT NULL,
    reason                TEXT    NOT NULL,
    terms_ns              INTEGER NOT NULL,
    sends                 INTEGER NOT NULL,
    amends                INTEGER NOT NULL,
    reopened              INTEGER NOT NULL CHECK (reopened IN (0, 1)),
    amendment             TEXT    CHECK (amendment IS NULL OR json_valid(amendment)),
    evidence              TEXT    CHECK (evidence IS NULL OR json_valid(evidence)),
    UNIQUE (intent_id, attempt),
    CONSTRAINT done_means_every_fill_is_known CHECK (state <> 'DONE' OR filled = fills_qty),
    CONSTRAINT dead_has_a_reason CHECK (state <> 'DEAD' OR reason <> ''),
    -- Fenced off, then denied by the exchange, then not found and not missed: in this order, and all of it.
    CONSTRAINT proved_has_a_proof CHECK (
        state <> 'DEAD' OR reason NOT GLOB 'proved*' OR coalesce(
                json_extract(evidence, '$.fenced_ns') > 0
            AND json_extract(evidence, '$.fenced_ns') <= json_extract(evidence, '$.probed_ns')
            AND json_extract(evidence, '$.probed_ns') <= json_extract(evidence, '$.first_absent_ns')
            AND json_extract(evidence, '$.probed_ns') <= json_extract(evidence, '$.first_agreed_ns'), 0))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_open_attempt ON order_states (intent_id)
    WHERE state NOT IN ('DONE', 'DEAD') AND reopened = 0;
CREATE INDEX reopened_attempts ON order_states (intent_id) WHERE reopened = 1;
CREATE INDEX order_states_by_exchange_id ON order_states (exchange_order_id)
    WHERE exchange_order_id IS NOT NULL;

CREATE TRIGGER attempts_keep_their_intent BEFORE UPDATE OF intent_id, attempt ON order_states
WHEN NEW.intent_id <> OLD.intent_id OR NEW.attempt <> OLD.attempt
BEGIN
    SELECT RAISE(ABORT, 'an attempt keeps its intent and number for ever');
END;

-- Of two canonical texts of numbers that are not negative the one with more digits before the point is the
-- greater; where these are as many, characters sort like numbers.
CREATE TRIGGER filled_never_falls BEFORE UPDATE OF filled ON order_states
WHEN (instr(NEW.filled || '.', '.'), NEW.filled) < (instr(OLD.filled || '.', '.'), OLD.filled)
BEGIN
    SELECT RAISE(ABORT, 'the cumulative quantity of an attempt never falls');
END;

CREATE TRIGGER what_was_closed_is_reopened BEFORE UPDATE OF state ON order_states
WHEN OLD.state IN ('DONE', 'DEAD') AND NEW.state NOT IN ('DONE', 'DEAD') AND NEW.reopened = 0
BEGIN
    SELECT RAISE(ABORT, 'an attempt that was closed is open again only as a reopened one');
END;

CREATE TABLE order_groups (
    group_id TEXT NOT NULL PRIMARY KEY,
    mode     TEXT NOT NULL CHECK (mode IN ('native', 'one_live', 'reduce_on_partial', 'cancel_on_fill')),
    quantity TEXT NOT NULL CHECK (quantity <> '' AND quantity NOT GLOB '*[^-.0-9]*'),
    legs     TEXT NOT NULL CHECK (json_valid(legs)),
    entry    TEXT NOT NULL,
    trail    TEXT CHECK (trail <> '' AND trail NOT GLOB '*[^-.0-9]*'),
    best     TEXT CHECK (best <> '' AND best NOT GLOB '*[^-.0-9]*'),
    live_leg TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE markets (
    symbol      TEXT    NOT NULL PRIMARY KEY,
    baseline    TEXT    CHECK (baseline <> '' AND baseline NOT GLOB '*[^-.0-9]*'),
    "position"  TEXT    NOT NULL CHECK ("position" <> '' AND "position" NOT GLOB '*[^-.0-9]*'),
    own         TEXT    NOT NULL CHECK (own <> '' AND own NOT GLOB '*[^-.0-9]*'),
    surveyed_ns INTEGER NOT NULL,
    drift       TEXT    NOT NULL CHECK (drift <> '' AND drift NOT GLOB '*[^-.0-9]*'),
    "foreign"   TEXT    NOT NULL CHECK (json_valid("foreign"))
) STRICT, WITHOUT ROWID;

-- Executions, corrections and the journal are facts: they stay what they were, whoever writes to this file
-- (short of a stranger's REPLACE, which triggers do not see).
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

CREATE INDEX fills_by_time   ON fills (symbol, exchange_ns);
CREATE INDEX fills_by_intent ON fills (intent_id);

CREATE TRIGGER fills_never_change BEFORE UPDATE ON fills
BEGIN
    SELECT RAISE(ABORT, 'fills never change');
END;

CREATE TRIGGER fills_never_go BEFORE DELETE ON fills
BEGIN
    SELECT RAISE(ABORT, 'fills never go away');
END;

CREATE TABLE corrections (
    number   INTEGER PRIMARY KEY,  -- order of insertion
    symbol   TEXT    NOT NULL,
    cause    TEXT    NOT NULL,
    cause_id TEXT    NOT NULL,
    delta    TEXT    NOT NULL CHECK (delta <> '' AND delta NOT GLOB '*[^-.0-9]*'),
    venue_ns INTEGER NOT NULL,
    UNIQUE (symbol, cause, cause_id)
) STRICT;

CREATE TRIGGER corrections_never_change BEFORE UPDATE ON corrections
BEGIN
    SELECT RAISE(ABORT, 'corrections never change');
END;

CREATE TRIGGER corrections_never_go BEFORE DELETE ON corrections
BEGIN
    SELECT RAISE(ABORT, 'corrections never go away');
END;

CREATE TABLE journal (
    number    INTEGER PRIMARY KEY,  -- order of commits
    at_ns     INTEGER NOT NULL,
    intent_id TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    what      TEXT    NOT NULL,
    detail    TEXT    NOT NULL
) STRICT;

CREATE TRIGGER journal_never_changes BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'journal entries never change');
END;

CREATE TRIGGER journal_never_goes BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'journal entries never go away');
END;

-- What a restart goes on from; `store.api.Loaded` says it in words.  Each arm can use one of the small indexes.
CREATE VIEW open_order_states AS
    SELECT * FROM order_states WHERE state NOT IN ('DONE', 'DEAD') AND reopened = 0
    UNION ALL
    SELECT * FROM order_states WHERE state NOT IN ('DONE', 'DEAD') AND reopened = 1;

CREATE VIEW unsettled AS
    SELECT intent_id FROM intents
    WHERE phase = 'PENDING' OR phase = 'ACTIVE' OR phase = 'CANCEL_REQUESTED'
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

CREATE VIEW order_groups_to_load AS
    SELECT * FROM order_groups WHERE group_id IN (SELECT group_id FROM intents_to_load);

-- Every market that was traded, each found by one step in an index.
CREATE VIEW traded AS
    WITH RECURSIVE each (symbol) AS (
        SELECT min(symbol) FROM fills
        UNION ALL
        SELECT (SELECT min(symbol) FROM fills WHERE symbol > each.symbol) FROM each WHERE symbol IS NOT NULL
    )
    SELECT symbol FROM each WHERE symbol IS NOT NULL;

-- What an exchange may still repeat is no older than two hours (`store.api.RECENT_NS`) before the survey.
CREATE VIEW fills_to_load AS
    SELECT * FROM fills WHERE position IN (
        SELECT f.position FROM fills AS f WHERE f.intent_id IN (SELECT intent_id FROM intents_to_load)
        UNION
        SELECT f.position FROM traded AS t
            LEFT JOIN markets AS m ON m.symbol = t.symbol
            JOIN fills AS f ON f.symbol = t.symbol
                           AND f.exchange_ns >= coalesce(m.surveyed_ns, 0) - 7200000000000
    );

CREATE VIEW remarks_to_load AS
    SELECT key, value FROM meta WHERE key >= 'kernel.' AND key < 'kernel/';
