"""Read out of Planfix whom somebody set back to subscribed there, where a link lets that count."""

from syncd.app.apply import latches_of, stamp
from syncd.app.world import OpenLink
from syncd.core.events import What


def heed_field(open_link: OpenLink) -> None:
    """Release whose consent field was set back by hand since we wrote that they unsubscribed.

    The value is asked for once more, since a list may show what was true before we wrote. A
    release counts from when we wrote: who unsubscribed after that stays so. Links that show
    consent in the same field count every latch for all of them, so all of them release.
    """
    store, consent = open_link.store, open_link.link.consent
    if consent.field is None or not consent.allow_planfix_release:
        return
    set_back = store.consent.set_back(
        open_link.snapshot.id,
        field=consent.field,
        unsubscribed=consent.unsubscribed,
        subscribed=consent.subscribed,
    )
    latched = latches_of(open_link).contacts if set_back else frozenset()
    for contact, written_at in set_back:
        if not open_link.planfix.says(contact, field=consent.field, value=consent.subscribed):
            continue
        for number in open_link.sharing if contact in latched else ():
            store.consent.release(
                number,
                store.pairs.keys_of(number, [contact]),
                [contact],
                run=open_link.run,
                at=stamp(),
                reason=f"custom field {consent.field} was set back in Planfix",
                since=written_at,
                what=What.FIELD_RELEASED,
            )
        store.consent.mark(contact, field=consent.field, value=consent.subscribed, at=stamp())
