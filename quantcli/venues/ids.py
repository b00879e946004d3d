"""Client order ids on the wire: 128 bits, spelt the way an exchange wants them.

The kernel writes 32 hex digits (`kernel.identity`); some exchanges want `0x` before them, some the dashes
of a UUID.  Whose an id is, only its MAC tells, not its form.
"""

import re

from quantcli.errors import InvariantError
from quantcli.model.venue import IdForm

_HEX = r"([0-9a-f]{32})"
# Where an id is written as a number, case means nothing; as plain text it does.
_FORMS = {
    IdForm.HEX: re.compile(_HEX),
    IdForm.HEX_0X: re.compile(f"0x{_HEX}", re.IGNORECASE),
    IdForm.UUID: re.compile(
        r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})", re.IGNORECASE
    ),
}


def spell(client_order_id: str, form: IdForm) -> str:
    """The kernel's id (32 lowercase hex digits) as an exchange wants it.  Raises `InvariantError`."""
    if not _FORMS[IdForm.HEX].fullmatch(client_order_id):
        raise InvariantError(
            f"{client_order_id!r} is no client order id of ours",
            why="an exchange must echo it in a form that reads back",
        )
    if form is IdForm.HEX_0X:
        return f"0x{client_order_id}"
    if form is IdForm.UUID:
        digits = client_order_id
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return client_order_id


def unspell(text: str, form: IdForm) -> str | None:
    """The kernel's spelling of an id that an exchange showed; `None` for one that we cannot have spelt.

    Such an id is somebody else's and goes on as it is.
    """
    match = _FORMS[form].fullmatch(text)
    return "".join(match.groups()).lower() if match else None
