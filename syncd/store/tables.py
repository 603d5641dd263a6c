"""The schema, as SQLModel tables; rows never leave this room.

They say what the migrations must come to, and what people look at is read through them. A run
goes through plain tuples and executemany (database.py): contacts, pairs and operations come by
the hundred thousand, an object for each is 37 times slower, and loading SQLModel costs more CPU
than a quiet run.
Times are text in ISO 8601, UTC, with their offset.
"""

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel


class MetaRow(SQLModel, table=True):
    """One remembered value that is no table of its own: the hash key, calls of a day."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str


class SelectionRow(SQLModel, table=True):
    """A selection of one account, shared by the links that take it.

    `fields` are the custom fields that are read with it: their ids, by number, with commas.
    """

    __tablename__ = "selection"
    __table_args__ = (UniqueConstraint("account", "target"),)
    id: int | None = Field(default=None, primary_key=True)
    account: str
    target: str
    fields: str = ""


class PageRow(SQLModel, table=True):
    """A page of contact.getList as last kept: the digest of its bytes, its contacts' number.

    `contacts` are their ids, as JSON; `digests` those of their bytes, one after the other, or
    none at all. `digest` is empty where the page is to be read anew.
    """

    __tablename__ = "page"
    __table_args__ = ({"sqlite_with_rowid": False},)
    selection: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    digest: bytes
    size: int
    contacts: str
    digests: bytes


class ContactRow(SQLModel, table=True):
    """A contact as last read; `page` is where it stood, null where the sweep missed it."""

    __tablename__ = "contact"
    __table_args__ = (
        Index("contact_key", "selection", "key"),
        Index("contact_absent", "selection", sqlite_where=text("page IS NULL")),
        {"sqlite_with_rowid": False},
    )
    selection: int = Field(primary_key=True)
    id: int = Field(primary_key=True)
    address: str
    key: str
    first: str
    last: str
    fault: str
    page: int | None


class LinkRow(SQLModel, table=True):
    """A link: what its pairs were made with (guard 7), and its list's id as JSON text."""

    __tablename__ = "link"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    scope: str
    selection: int
    list_id: str | None = None
    asked: bool = False  # a creation was sent, its answer not yet known
    ran: bool = False  # a first run, which removes nothing and writes nothing to Planfix, is over
    latch_met: int = 0  # the newest latch of the account that was looked for among its pairs


class PairRow(SQLModel, table=True):
    """One contact and one member, and the values they last agreed on."""

    __tablename__ = "pair"
    __table_args__ = (
        Index("pair_key", "link", "key", unique=True),
        {"sqlite_with_rowid": False},
    )
    link: int = Field(primary_key=True)
    contact: int = Field(primary_key=True)
    address: str
    key: str
    first: str
    last: str
    status: str
    reference: str


class LatchRow(SQLModel, table=True):
    """Someone who must not be subscribed by us: a contact's id or a keyed hash of a key.

    `link` 0 is the whole account. Exactly one of `contact` and `key_hash` is set.
    """

    __tablename__ = "latch"
    __table_args__ = (
        Index("latch_contact", "link", "contact"),
        Index("latch_key", "link", "key_hash"),
    )
    id: int | None = Field(default=None, primary_key=True)
    link: int
    contact: int | None = None
    key_hash: bytes | None = None
    why: str
    run: str
    at: str


class LiftedRow(SQLModel, table=True):
    """A latch of the account that ended for one link: it goes when the latch goes."""

    __tablename__ = "lifted"
    __table_args__ = ({"sqlite_with_rowid": False},)
    latch: int = Field(primary_key=True)
    link: int = Field(primary_key=True)


class OperationRow(SQLModel, table=True):
    """Journal and audit in one: an operation on its way, and afterwards its story."""

    __tablename__ = "operation"
    __table_args__ = (
        Index("operation_open", "link", sqlite_where=text("state IN ('planned', 'sent')")),
        Index("operation_withheld", "link", "contact", sqlite_where=text("state = 'withheld'")),
        Index("operation_removed", "link", "at", sqlite_where=text("op = 'remove'")),
        Index("operation_renamed", "link", "old_key", sqlite_where=text("op = 'rename'")),
    )
    id: int | None = Field(default=None, primary_key=True)
    run: str
    link: int
    contact: int
    op: str
    address: str
    key: str
    first: str
    last: str
    old_address: str
    old_key: str
    loses: int
    after: int | None
    why: str
    approved: bool
    state: str
    batch: int | None
    error: str
    at: str
    old_first: str = ""
    old_last: str = ""
    settles: int = 7
    resubscribes: bool = False


class QuarantineRow(SQLModel, table=True):
    """Who failed by themselves on one side, with what, and when it is tried again.

    `key` is empty but for a member without a contact.
    """

    __tablename__ = "quarantine"
    link: int = Field(primary_key=True)
    contact: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    planfix: bool = Field(primary_key=True)
    person: str  # the values it failed with: others are tried at once
    error: str
    attempts: int
    next_at: str


class HeldRow(SQLModel, table=True):
    """Who waited in the link's last run, and why: core.plan.Held."""

    __tablename__ = "held"
    link: int = Field(primary_key=True)
    contact: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    why: str
    until: str = ""


class SubscriberRow(SQLModel, table=True):
    """A member without a contact, of whom Planfix was asked; until they are a pair."""

    __tablename__ = "subscriber"
    __table_args__ = ({"sqlite_with_rowid": False},)
    link: int = Field(primary_key=True)
    key: str = Field(primary_key=True)


class GoneRow(SQLModel, table=True):
    """Someone whom we saw off a list, and the reference they had: what a return is proved by.

    `release` says that somebody gave leave to subscribe them again: core.pairs.Release.
    """

    __tablename__ = "gone"
    __table_args__ = ({"sqlite_with_rowid": False},)
    link: int = Field(primary_key=True)
    key_hash: bytes = Field(primary_key=True)
    reference: str
    at: str
    release: str = ""


class ConsentMarkRow(SQLModel, table=True):
    """What we last wrote to a contact's consent field, whichever links show theirs there."""

    __tablename__ = "consent_mark"
    __table_args__ = ({"sqlite_with_rowid": False},)
    contact: int = Field(primary_key=True)
    field: int = Field(primary_key=True)
    value: str
    at: str


class CustomRow(SQLModel, table=True):
    """A custom field of a contact as last read, where a link asked for it.

    `text` is what people see: of a field with records of a directory, `value` is an id.
    """

    __tablename__ = "custom"
    __table_args__ = ({"sqlite_with_rowid": False},)
    selection: int = Field(primary_key=True)
    contact: int = Field(primary_key=True)
    field: int = Field(primary_key=True)
    value: str
    text: str


class EventRow(SQLModel, table=True):
    """What syncd saw of a person, for `history`; the same thing is told once."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_once", "link", "contact", "key", "what", "detail", unique=True),
        Index("event_key", "key"),
    )
    id: int | None = Field(default=None, primary_key=True)
    run: str
    link: int
    contact: int
    key: str
    at: str
    what: str
    detail: str


class RunRow(SQLModel, table=True):
    """A run of one link set, and how it ended; `document` is the run document as JSON."""

    __tablename__ = "run"
    id: str = Field(primary_key=True)
    trigger: str
    dry_run: bool
    started: str
    finished: str | None = None
    outcome: str | None = None
    exit_code: int | None = None
    document: str = "{}"


class LinkRunRow(SQLModel, table=True):
    """What one run found out about one link, for status and the operator.

    `hint` is what to do about what stopped the link; `judged`: it came as far as its guards.
    """

    __tablename__ = "link_run"
    __table_args__ = (Index("link_run_latest", "link", "run"),)
    run: str = Field(primary_key=True)
    link: str = Field(primary_key=True)
    outcome: str
    findings: str  # JSON: a list of [guard, message, hint]
    hint: str = ""
    judged: bool = False


class StreakRow(SQLModel, table=True):
    """How a link ended in its last `runs` runs, and whether a person was told of it."""

    __tablename__ = "streak"
    __table_args__ = ({"sqlite_with_rowid": False},)
    link: str = Field(primary_key=True)
    outcome: str
    runs: int
    told: bool


class TallyRow(SQLModel, table=True):
    """A count since the store was made, for the metrics; what of is told by up to three names."""

    __tablename__ = "tally"
    __table_args__ = ({"sqlite_with_rowid": False},)
    name: str = Field(primary_key=True)
    link: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    count: int


class ApprovalRow(SQLModel, table=True):
    """A person's word that what a run withheld may be done, and until when."""

    __tablename__ = "approval"
    run: str = Field(primary_key=True)
    at: str
    until: str


class SmsRow(SQLModel, table=True):
    """A message to be relayed; `login` handed it in, `relay` is the gateway's name.

    `next_at` is when it is tried, or was last; `answer` is the gateway's own.
    """

    __tablename__ = "sms"
    __table_args__ = (
        Index("sms_due", "next_at", sqlite_where=text("state = 'queued'")),
        Index("sms_at", "at"),
    )
    id: str = Field(primary_key=True)
    at: str
    login: str
    relay: str
    sender: str
    recipient: str
    text: str
    state: str
    attempts: int
    next_at: str
    error: str
    answer: str


class AlertRow(SQLModel, table=True):
    """A kind of alert that was told by SMS, when, and how many came since."""

    __tablename__ = "alert"
    kind: str = Field(primary_key=True)
    at: str
    further: int


class PushedListRow(SQLModel, table=True):
    """A list that Planfix made on us, when, and when it gave it up; `link` is its link's name."""

    __tablename__ = "pushed_list"
    __table_args__ = (
        Index("pushed_list_link", "link", unique=True, sqlite_where=text("ended IS NULL")),
    )
    id: str = Field(primary_key=True)
    backend: str
    name: str
    at: str
    ended: str | None = None
    link: str = ""


class ComparedRow(SQLModel, table=True):
    """What comparing a list with its pairs came to; `differences` are sightings, as JSON.

    `edition` is the list's, empty while the comparison is under way.
    """

    __tablename__ = "compared"
    link: int = Field(primary_key=True)
    edition: str
    members: int
    differences: str


class RewrittenRow(SQLModel, table=True):
    """The address of a pair that was written since its link's comparison: a trigger notes it."""

    __tablename__ = "rewritten"
    number: int | None = Field(default=None, primary_key=True)
    link: int
    key: str


class ReportedRow(SQLModel, table=True):
    """A member as their list service reported them last; `since` is when that came in."""

    __tablename__ = "reported"
    __table_args__ = (
        Index("reported_joined", "key", sqlite_where=text("joined")),
        Index("reported_joined_contact", "contact", sqlite_where=text("joined")),
        {"sqlite_with_rowid": False},
    )
    link: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    contact: int | None
    address: str
    first: str
    last: str
    status: str
    since: str
    old_key: str
    joined: bool = False  # they subscribed, for all we know by themselves
