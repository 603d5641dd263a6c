"""One simulated contact, its XML, and people who do not exist."""

import html
import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

NOTHING: Final[Mapping[int, str]] = MappingProxyType({})
PHONE_TYPES: Final = {"1": "Мобильный", "2": "Рабочий", "3": "Домашний", "4": "Другой"}
PERSON_TEMPLATE: Final = 1
COMPANY_TEMPLATE: Final = 2


class SimulatedContact(NamedTuple):
    """A contact as Planfix keeps it; `name` is the first name alone.

    A tuple and no dataclass, since a million of them are made in one go.
    """

    id: int
    userid: int
    general: int
    template: int = PERSON_TEMPLATE
    name: str = ""
    mid_name: str = ""
    last_name: str = ""
    email: str = ""
    secondary_emails: tuple[str, ...] = ()
    is_company: bool = False
    post: str = ""
    phones: tuple[tuple[str, str], ...] = ()  # number, id of its type
    address: str = ""
    description: str = ""
    sex: str = ""
    site: str = ""
    skype: str = ""
    facebook: str = ""
    vk: str = ""
    icq: str = ""
    birthdate: str = ""
    telegram: str = ""
    group: int = 0
    companies: tuple[int, ...] = ()
    custom: Mapping[int, str] = NOTHING
    responsible_users: tuple[int, ...] = ()
    responsible_groups: tuple[int, ...] = ()
    has_access: bool = False
    last_update: str = ""  # dd-mm-yyyy hh:mm, in the robot's time zone

    @property
    def read_name(self) -> str:
        """The name as Planfix reads it back: first name and patronymic."""
        return f"{self.name} {self.mid_name}" if self.mid_name else self.name

    @property
    def addresses(self) -> tuple[str, ...]:
        """The main address, where there is one, and the additional ones."""
        return (self.email, *self.secondary_emails) if self.email else self.secondary_emails


class Labels(NamedTuple):
    """The names of what a contact refers to only by number."""

    account: str
    companies: Mapping[int, str]
    groups: Mapping[int, str]
    custom_fields: Mapping[int, str]
    employees: Mapping[int, str]
    employee_groups: Mapping[int, str]


def element(tag: str, text: str) -> str:
    """Return one element; an empty one closes itself."""
    return f"<{tag}>{escaped(text)}</{tag}>" if text else f"<{tag}/>"


def escaped(text: str) -> str:
    """Return a text fit for XML, except for control characters: Planfix lets those pass."""
    return html.escape(text, quote=False).replace("\r", "&#13;")


def as_listed(contact: SimulatedContact, labels: Labels) -> bytes:
    """Return what contact.getList gives of a contact, without its end tag."""
    return (
        f"{_head(contact)}{element('lastName', contact.last_name)}"
        f"<isCompany>{contact.is_company:d}</isCompany>{element('post', contact.post)}"
        f"{element('email', contact.email)}{_phones(contact)}{element('address', contact.address)}"
        f"{element('description', contact.description)}{element('sex', contact.sex)}"
        f"{element('skype', contact.skype)}{element('facebook', contact.facebook)}"
        f"{element('vk', contact.vk)}{element('telegramId', contact.telegram)}"
        f"{element('icq', contact.icq)}{_picture(contact, labels)}"
        f"{element('birthdate', contact.birthdate)}"
        f"<havePlanfixAccess>{contact.has_access:d}</havePlanfixAccess>{_user(contact)}"
        f"{_contractors(contact, labels)}{_custom_data(contact, labels)}"
    ).encode()


def in_full(contact: SimulatedContact, labels: Labels) -> bytes:
    """Return what contact.get gives of a contact, without its end tag."""
    emails = "".join(element("email", address) for address in contact.secondary_emails)
    group = escaped(labels.groups.get(contact.group, ""))
    telegram = f"<telegram><id>{contact.telegram}</id></telegram>" if contact.telegram else ""
    return (
        f"{_head(contact)}{element('midName', contact.mid_name)}"
        f"{element('lastName', contact.last_name)}<isCompany>{contact.is_company:d}</isCompany>"
        f"{element('post', contact.post)}{element('email', contact.email)}"
        f"{_wrapped('secondaryEmails', emails)}{_phones(contact)}"
        f"{element('address', contact.address)}{element('description', contact.description)}"
        f"{element('sex', contact.sex)}{element('site', contact.site)}"
        f"{element('skype', contact.skype)}{element('icq', contact.icq)}"
        f"{_picture(contact, labels)}{element('birthdate', contact.birthdate)}"
        f"<group><id>{contact.group}</id><name>{group}</name></group>"
        f"{_contractors(contact, labels)}"
        f"<havePlanfixAccess>{contact.has_access:d}</havePlanfixAccess>{telegram}"
        f"{_custom_data(contact, labels)}{_responsible(contact, labels)}"
    ).encode()


def _head(contact: SimulatedContact) -> str:
    return (
        f"<contact><id>{contact.id}</id><userid>{contact.userid}</userid>"
        f"<general>{contact.general}</general><template><id>{contact.template}</id></template>"
        f"{element('name', contact.read_name)}"
    )


def _wrapped(tag: str, content: str) -> str:
    return f"<{tag}>{content}</{tag}>" if content else f"<{tag}/>"


def _phones(contact: SimulatedContact) -> str:
    content = "".join(
        f"<phone><number>{escaped(number)}</number><typeId>{kind}</typeId>"
        f"<typeName>{PHONE_TYPES[kind]}</typeName></phone>"
        for number, kind in contact.phones
    )
    return _wrapped("phones", content)


def _picture(contact: SimulatedContact, labels: Labels) -> str:
    if contact.is_company:
        return "<userPic/>"
    return (
        f"<userPic>https://{labels.account}.example.com/?action=getuserpic&amp;"
        f"id={contact.userid}&amp;h={contact.userid:032x}</userPic>"
    )


def _user(contact: SimulatedContact) -> str:
    if not contact.has_access:
        return ""
    return (
        f"<user><login>contact{contact.id}</login><role>USER</role><status>ACTIVE</status>"
        f"{element('email', contact.email)}</user>"
    )


def _contractors(contact: SimulatedContact, labels: Labels) -> str:
    return _wrapped("contractors", _references("client", contact.companies, labels.companies))


def _references(tag: str, ids: tuple[int, ...], names: Mapping[int, str]) -> str:
    return "".join(
        f"<{tag}><id>{number}</id><name>{escaped(names.get(number, ''))}</name></{tag}>"
        for number in ids
    )


def _custom_data(contact: SimulatedContact, labels: Labels) -> str:
    content = "".join(
        f"<customValue><field><id>{field}</id>"
        f"<name>{escaped(labels.custom_fields.get(field, ''))}</name></field>"
        f"{element('value', value)}{element('text', value)}</customValue>"
        for field, value in contact.custom.items()
    )
    return _wrapped("customData", content)


def _responsible(contact: SimulatedContact, labels: Labels) -> str:
    users = _references("user", contact.responsible_users, labels.employees)
    groups = _references("group", contact.responsible_groups, labels.employee_groups)
    return f"<responsible>{_wrapped('users', users)}{_wrapped('groups', groups)}</responsible>"


# People who do not exist: sex, first names, patronymics, last names as spelt and in addresses.
_PEOPLE: Final = (
    (
        "FEMALE",
        ("Анна", "Мария", "Ольга", "Елена", "Зоя"),
        ("Петровна", "Ивановна", "Юрьевна"),
        (("Белова", "belova"), ("Ёлкина", "elkina"), ("Ким", "kim"), ("Южная-Щукина", "yuzhnaya")),
    ),
    (
        "MALE",
        ("Иван", "Андрей", "Пётр", "Сергей", "Юрий"),
        ("Петрович", "Ильич", ""),
        (("Белов", "belov"), ("Сидоров", "sidorov"), ("Ёлкин", "elkin"), ("Жук", "zhuk")),
    ),
    (
        "FEMALE",
        ("Ilze", "Jūlija", "Kristīne", "Līga", "Žanete"),
        ("",),
        (("Bērziņa", "berzina"), ("Kalniņa", "kalnina"), ("Ozola", "ozola"), ("Šmite", "smite")),
    ),
    (
        "MALE",
        ("Jānis", "Kārlis", "Ģirts", "Pēteris", "Uldis"),
        ("",),
        (("Bērziņš", "berzins"), ("Kalniņš", "kalnins"), ("Ozols", "ozols"), ("Ķirsis", "kirsis")),
    ),
    (
        "",
        ("Zoë", "Charlotte", "François", "Jürgen", "Łukasz"),
        ("",),
        (("O’Brien", "o.brien"), ("Smith & Jones", "smith"), ("Groß", "gross"), ("Núñez", "nunez")),
    ),
)
_POSTS: Final = ("Бухгалтер", "Head of R&D", "Grāmatvede", "Директор", "Editor", "")
_FIRMS: Final = ("ООО «Ромашка»", "SIA Ozols & dēli", "Müller GmbH", "АО «Пример»", "Example Ltd")
_PLACES: Final = ("1 Sample Street", "г. Примерск,\r\nнаб. Примерная, д. 1", "Parauga iela 7")
_NOTES: Final = (
    "",
    "Asked for the catalogue <b>twice</b>; prefers a letter to a call, and never before ten.",
    "Познакомились на выставке 🙂\r\nПросил(а) прислать прайс-лист и образцы, перезвонить осенью",
)
_CONSENTS: Final = tuple(
    MappingProxyType({10123: language, 10124: "yes"})
    for language in ("Русский", "Latviešu", "English")
)
_COMPANY_EVERY: Final = 25
_NO_EMAIL_EVERY: Final = 33
_SHARED_EVERY: Final = 100


def invent(
    *, count: int, first_id: int, first_number: int, seed: int, shared: bool, last_update: str
) -> Iterator[SimulatedContact]:
    """Invent people and companies, the same ones for the same seed.

    Every 25th is a company and about 3 in 100 have no e-mail; where `shared`, 1 in 100
    has the address of the one before.
    """
    draw = random.Random(seed)  # noqa: S311 - people, not keys
    firm: tuple[int, ...] = ()
    email = ""
    for offset in range(count):
        contact_id, number = first_id + offset, first_number + offset
        dice = draw.getrandbits(48)
        if offset % _COMPANY_EVERY == _COMPANY_EVERY - 1:
            firm = (contact_id,)
            yield SimulatedContact(
                contact_id,
                50001 + number,
                101 + number,
                template=COMPANY_TEMPLATE,
                name=_FIRMS[dice % len(_FIRMS)],
                email=f"office{contact_id}@example.org",
                is_company=True,
                phones=((f"8 (000) {contact_id:07d}", "2"),),
                address=_PLACES[1],
                description="<p>Поставщик &laquo;цветов&raquo;<br/></p>",
                last_update=last_update,
            )
            continue
        sex, firsts, mids, lasts = _PEOPLE[dice % len(_PEOPLE)]
        last, slug = lasts[(dice >> 8) % len(lasts)]
        if not (shared and dice >> 16 & 0xFFFF < 0x10000 // _SHARED_EVERY):
            email = f"{slug}.{contact_id}@example.{'com' if dice & 1 else 'org'}"
        yield SimulatedContact(
            contact_id,
            50001 + number,
            101 + number,
            name=firsts[(dice >> 12) % len(firsts)],
            mid_name=mids[(dice >> 20) % len(mids)],
            last_name=last,
            email="" if (dice >> 32) % _NO_EMAIL_EVERY == 0 else email,
            post=_POSTS[(dice >> 24) % len(_POSTS)],
            phones=((f"+7000{contact_id:07d}", "1"),),
            address=_PLACES[(dice >> 28) % len(_PLACES)],
            description=_NOTES[(dice >> 36) % len(_NOTES)],
            sex=sex,
            birthdate=f"{dice % 28 + 1:02d}-{(dice >> 5) % 12 + 1:02d}-{1950 + (dice >> 9) % 55}",
            companies=firm if dice & 2 else (),
            custom=_CONSENTS[(dice >> 40) % len(_CONSENTS)],
            last_update=last_update,
        )
