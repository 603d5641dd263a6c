"""The store's versions: a list one only appends to; the version is its length.

Each step and its version share one transaction, after a copy of the file was made.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

STEPS: Final = (
    # 1: what one direction needs.
    """
CREATE TABLE meta (name VARCHAR NOT NULL, value VARCHAR NOT NULL, PRIMARY KEY (name));
CREATE TABLE selection (id INTEGER NOT NULL, account VARCHAR NOT NULL, target VARCHAR NOT
    NULL, PRIMARY KEY (id), UNIQUE (account, target));
CREATE TABLE page (selection INTEGER NOT NULL, number INTEGER NOT NULL, digest BLOB NOT
    NULL, size INTEGER NOT NULL, PRIMARY KEY (selection, number)) WITHOUT ROWID;
CREATE TABLE contact (selection INTEGER NOT NULL, id INTEGER NOT NULL, address VARCHAR NOT
    NULL, key VARCHAR NOT NULL, first VARCHAR NOT NULL, last VARCHAR NOT NULL, fault VARCHAR
    NOT NULL, digest BLOB NOT NULL, page INTEGER, PRIMARY KEY (selection, id)) WITHOUT ROWID;
CREATE INDEX contact_key ON contact (selection, key);
CREATE INDEX contact_page ON contact (selection, page);
CREATE TABLE link (id INTEGER NOT NULL, name VARCHAR NOT NULL, scope VARCHAR NOT NULL,
    selection INTEGER NOT NULL,
    list_id VARCHAR, asked BOOLEAN NOT NULL, PRIMARY KEY (id), UNIQUE (name));
CREATE TABLE pair (link INTEGER NOT NULL, contact INTEGER NOT NULL, address VARCHAR NOT
    NULL, key VARCHAR NOT NULL, first VARCHAR NOT NULL, last VARCHAR NOT NULL, status
    VARCHAR NOT NULL, reference VARCHAR NOT NULL, PRIMARY KEY (link, contact)) WITHOUT ROWID;
CREATE UNIQUE INDEX pair_key ON pair (link, key);
CREATE TABLE latch (id INTEGER NOT NULL, link INTEGER NOT NULL, contact INTEGER, key_hash
    BLOB, why VARCHAR NOT NULL, run VARCHAR NOT NULL, at VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE INDEX latch_contact ON latch (link, contact);
CREATE INDEX latch_key ON latch (link, key_hash);
CREATE TABLE operation (id INTEGER NOT NULL, run VARCHAR NOT NULL, link INTEGER NOT NULL,
    contact INTEGER NOT NULL, op VARCHAR NOT NULL, address VARCHAR NOT NULL, key VARCHAR NOT
    NULL, first VARCHAR NOT NULL, last VARCHAR NOT NULL, old_address VARCHAR NOT NULL,
    old_key VARCHAR NOT NULL, loses INTEGER NOT NULL, after INTEGER, why VARCHAR NOT NULL,
    approved BOOLEAN NOT NULL, state VARCHAR NOT NULL, batch INTEGER, error VARCHAR NOT
    NULL, at VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE INDEX operation_open ON operation (link) WHERE state IN ('planned', 'sent');
CREATE INDEX operation_withheld ON operation (link, contact) WHERE state = 'withheld';
CREATE INDEX operation_removed ON operation (link, at) WHERE op = 'remove';
CREATE TABLE quarantine (link INTEGER NOT NULL, contact INTEGER NOT NULL, person VARCHAR NOT
    NULL, error VARCHAR NOT NULL, attempts INTEGER NOT NULL, next_at VARCHAR NOT NULL,
    PRIMARY KEY (link, contact));
CREATE TABLE held (link INTEGER NOT NULL, contact INTEGER NOT NULL, why VARCHAR NOT NULL,
    PRIMARY KEY (link, contact));
CREATE TABLE run (id VARCHAR NOT NULL, trigger VARCHAR NOT NULL, dry_run BOOLEAN NOT NULL,
    started VARCHAR NOT NULL, finished VARCHAR, outcome VARCHAR, exit_code INTEGER, document
    VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE TABLE link_run (run VARCHAR NOT NULL, link VARCHAR NOT NULL, outcome VARCHAR NOT
    NULL, findings VARCHAR NOT NULL, PRIMARY KEY (run, link));
CREATE INDEX link_run_link ON link_run (link);
CREATE TABLE approval (run VARCHAR NOT NULL, at VARCHAR NOT NULL, until VARCHAR NOT NULL,
    PRIMARY KEY (run))
""",
    # 2: what both directions need.
    """
ALTER TABLE link ADD COLUMN ran BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN latch_met INTEGER NOT NULL DEFAULT 0;
UPDATE link SET ran = 1 WHERE EXISTS (SELECT 1 FROM pair WHERE pair.link = link.id);
ALTER TABLE operation ADD COLUMN old_first VARCHAR NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN old_last VARCHAR NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN settles INTEGER NOT NULL DEFAULT 7;
ALTER TABLE operation ADD COLUMN resubscribes BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE quarantine RENAME TO quarantine_1;
CREATE TABLE quarantine (link INTEGER NOT NULL, contact INTEGER NOT NULL, key VARCHAR NOT NULL,
    planfix BOOLEAN NOT NULL, person VARCHAR NOT NULL, error VARCHAR NOT NULL, attempts INTEGER
    NOT NULL, next_at VARCHAR NOT NULL, PRIMARY KEY (link, contact, key, planfix));
INSERT INTO quarantine SELECT link, contact, '', 0, person, error, attempts, next_at
    FROM quarantine_1;
DROP TABLE quarantine_1;
DROP TABLE held;
CREATE TABLE held (link INTEGER NOT NULL, contact INTEGER NOT NULL, key VARCHAR NOT NULL, why
    VARCHAR NOT NULL, PRIMARY KEY (link, contact, key));
CREATE TABLE gone (link INTEGER NOT NULL, key_hash BLOB NOT NULL, reference VARCHAR NOT NULL, at
    VARCHAR NOT NULL, PRIMARY KEY (link, key_hash)) WITHOUT ROWID;
CREATE TABLE consent_mark (link INTEGER NOT NULL, contact INTEGER NOT NULL, value VARCHAR NOT
    NULL, at VARCHAR NOT NULL, PRIMARY KEY (link, contact)) WITHOUT ROWID;
CREATE TABLE custom (selection INTEGER NOT NULL, contact INTEGER NOT NULL, field INTEGER NOT
    NULL, value VARCHAR NOT NULL, PRIMARY KEY (selection, contact, field)) WITHOUT ROWID;
CREATE TABLE event (id INTEGER NOT NULL, run VARCHAR NOT NULL, link INTEGER NOT NULL, contact
    INTEGER NOT NULL, key VARCHAR NOT NULL, at VARCHAR NOT NULL, what VARCHAR NOT NULL, detail
    VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE UNIQUE INDEX event_once ON event (link, contact, key, what, detail);
CREATE INDEX event_key ON event (key)
""",
    # 3: messages to be relayed, and alerts that were told by SMS.
    """
CREATE TABLE sms (id VARCHAR NOT NULL, at VARCHAR NOT NULL, login VARCHAR NOT NULL, relay VARCHAR
    NOT NULL, sender VARCHAR NOT NULL, recipient VARCHAR NOT NULL, text VARCHAR NOT NULL, state
    VARCHAR NOT NULL, attempts INTEGER NOT NULL, next_at VARCHAR NOT NULL, error VARCHAR NOT NULL,
    answer VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE INDEX sms_due ON sms (next_at) WHERE state = 'queued';
CREATE INDEX sms_at ON sms (at);
CREATE TABLE alert (kind VARCHAR NOT NULL, at VARCHAR NOT NULL, further INTEGER NOT NULL, PRIMARY
    KEY (kind))
""",
    # 4: what is pushed to us.
    """
CREATE TABLE pushed_list (id VARCHAR NOT NULL, backend VARCHAR NOT NULL, name VARCHAR NOT NULL,
    at VARCHAR NOT NULL, ended VARCHAR, PRIMARY KEY (id));
CREATE UNIQUE INDEX pushed_list_open ON pushed_list (backend, name) WHERE ended IS NULL;
CREATE TABLE reported (link INTEGER NOT NULL, key VARCHAR NOT NULL, contact INTEGER, address
    VARCHAR NOT NULL, first VARCHAR NOT NULL, last VARCHAR NOT NULL, status VARCHAR NOT NULL,
    since VARCHAR NOT NULL, old_key VARCHAR NOT NULL, PRIMARY KEY (link, key)) WITHOUT ROWID
""",
    # 5: two lists of Planfix's may have one name; their links have not.
    """
ALTER TABLE pushed_list ADD COLUMN link VARCHAR NOT NULL DEFAULT '';
UPDATE pushed_list SET link = name || ' (' || id || ')';
DROP INDEX pushed_list_open;
CREATE UNIQUE INDEX pushed_list_link ON pushed_list (link) WHERE ended IS NULL
""",
    # 6: a report of somebody who subscribed is told from one of a change.
    """
ALTER TABLE reported ADD COLUMN joined BOOLEAN NOT NULL DEFAULT 0
""",
    # 7: what reading a list came to, until one of its pairs is written.
    """
CREATE TABLE compared (link INTEGER NOT NULL, edition VARCHAR NOT NULL, members INTEGER NOT NULL,
    differences VARCHAR NOT NULL, PRIMARY KEY (link));
CREATE TRIGGER compared_ends_with_insert AFTER INSERT ON pair
    BEGIN DELETE FROM compared WHERE link = NEW.link; END;
CREATE TRIGGER compared_ends_with_update AFTER UPDATE ON pair
    BEGIN DELETE FROM compared WHERE link = NEW.link; END;
CREATE TRIGGER compared_ends_with_delete AFTER DELETE ON pair
    BEGIN DELETE FROM compared WHERE link = OLD.link; END
""",
    # 8: what the operator's page and the metrics show.
    """
CREATE TABLE tally (name VARCHAR NOT NULL, link VARCHAR NOT NULL, kind VARCHAR NOT NULL, count
    INTEGER NOT NULL, PRIMARY KEY (name, link, kind)) WITHOUT ROWID;
DROP INDEX link_run_link;
CREATE INDEX link_run_latest ON link_run (link, run)
""",
    # 9: whether a release was carried out; the consent field, by itself and as read.
    """
ALTER TABLE gone ADD COLUMN release VARCHAR NOT NULL DEFAULT '';
DROP TABLE consent_mark;
CREATE TABLE consent_mark (contact INTEGER NOT NULL, field INTEGER NOT NULL, value VARCHAR NOT
    NULL, at VARCHAR NOT NULL, PRIMARY KEY (contact, field)) WITHOUT ROWID;
DROP TABLE custom;
CREATE TABLE custom (selection INTEGER NOT NULL, contact INTEGER NOT NULL, field INTEGER NOT
    NULL, value VARCHAR NOT NULL, text VARCHAR NOT NULL, PRIMARY KEY (selection, contact,
    field)) WITHOUT ROWID;
ALTER TABLE selection ADD COLUMN fields VARCHAR NOT NULL DEFAULT ''
""",
    # 10: until when it is not asked again whether a subscriber has a contact elsewhere.
    """
ALTER TABLE held ADD COLUMN until VARCHAR NOT NULL DEFAULT ''
""",
    # 11: members whom Planfix was asked about, and who may be gone before they are a pair.
    """
CREATE TABLE subscriber (link INTEGER NOT NULL, key VARCHAR NOT NULL, PRIMARY KEY (link, key))
    WITHOUT ROWID
""",
    # 12: a page knows who stands on it, with the digests of their bytes; all are read once more.
    """
ALTER TABLE page RENAME TO page_11;
CREATE TABLE page (selection INTEGER NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL,
    size INTEGER NOT NULL, contacts VARCHAR NOT NULL, digests BLOB NOT NULL, PRIMARY KEY
    (selection, number)) WITHOUT ROWID;
INSERT INTO page SELECT p.selection, p.number, x'', COUNT(*), json_group_array(c.id), x''
    FROM page_11 p JOIN contact c ON c.selection = p.selection AND c.page = p.number
    GROUP BY p.selection, p.number;
DROP TABLE page_11;
ALTER TABLE contact RENAME TO contact_11;
DROP INDEX contact_key;
DROP INDEX contact_page;
CREATE TABLE contact (selection INTEGER NOT NULL, id INTEGER NOT NULL, address VARCHAR NOT NULL,
    key VARCHAR NOT NULL, first VARCHAR NOT NULL, last VARCHAR NOT NULL, fault VARCHAR NOT NULL,
    page INTEGER, PRIMARY KEY (selection, id)) WITHOUT ROWID;
CREATE INDEX contact_key ON contact (selection, key);
CREATE INDEX contact_absent ON contact (selection) WHERE page IS NULL;
INSERT INTO contact SELECT selection, id, address, key, first, last, fault, page FROM contact_11;
DROP TABLE contact_11
""",
    # 13: a pair that is written leaves a note, instead of ending what its list was compared to.
    """
DROP TRIGGER compared_ends_with_insert;
DROP TRIGGER compared_ends_with_update;
DROP TRIGGER compared_ends_with_delete;
CREATE TABLE rewritten (number INTEGER NOT NULL, link INTEGER NOT NULL, key VARCHAR NOT NULL,
    PRIMARY KEY (number));
CREATE TRIGGER pair_inserted AFTER INSERT ON pair
    WHEN EXISTS (SELECT 1 FROM compared WHERE link = NEW.link)
    BEGIN INSERT INTO rewritten (link, key) VALUES (NEW.link, NEW.key); END;
CREATE TRIGGER pair_updated AFTER UPDATE ON pair
    WHEN EXISTS (SELECT 1 FROM compared WHERE link = NEW.link)
    BEGIN INSERT INTO rewritten (link, key) VALUES (OLD.link, OLD.key), (NEW.link, NEW.key); END;
CREATE TRIGGER pair_deleted AFTER DELETE ON pair
    WHEN EXISTS (SELECT 1 FROM compared WHERE link = OLD.link)
    BEGIN INSERT INTO rewritten (link, key) VALUES (OLD.link, OLD.key); END;
DELETE FROM compared
""",
    # 14: of whom a service told that they subscribed; who leaves after that did not.
    """
CREATE INDEX reported_joined ON reported (key) WHERE joined;
CREATE INDEX reported_joined_contact ON reported (contact) WHERE joined
""",
    # 15: what to do about a link that failed, and whether its run came as far as its guards.
    """
ALTER TABLE link_run ADD COLUMN hint VARCHAR NOT NULL DEFAULT '';
ALTER TABLE link_run ADD COLUMN judged BOOLEAN NOT NULL DEFAULT 0;
UPDATE link_run SET judged = outcome <> 'failed' OR findings <> '[]'
""",
    # 16: how often in a row each link has ended alike.
    """
CREATE TABLE streak (link VARCHAR NOT NULL, outcome VARCHAR NOT NULL, runs INTEGER NOT NULL, told
    BOOLEAN NOT NULL, PRIMARY KEY (link)) WITHOUT ROWID
""",
    # 17: for which links a latch of the account ended.
    """
CREATE TABLE lifted (latch INTEGER NOT NULL, link INTEGER NOT NULL, PRIMARY KEY (latch, link))
    WITHOUT ROWID;
CREATE TRIGGER latch_ended AFTER DELETE ON latch
    BEGIN DELETE FROM lifted WHERE latch = OLD.id; END
""",
    # 18: to whom an address belonged until we renamed them.
    "CREATE INDEX operation_renamed ON operation (link, old_key) WHERE op = 'rename'",
)


def version(raw: sqlite3.Connection) -> int:
    """Return how many steps this file has taken."""
    return int(raw.execute("PRAGMA user_version").fetchone()[0])


def take(raw: sqlite3.Connection, number: int) -> None:
    """Take one step, counted from 1, within the caller's transaction."""
    for statement in _statements(STEPS[number - 1]):
        raw.execute(statement)
    raw.execute(f"PRAGMA user_version = {number}")


def _statements(step: str) -> Iterator[str]:
    """Yield a step's statements; a trigger has a semicolon inside."""
    statement = ""
    for part in step.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
