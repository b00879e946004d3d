"""What the account and its API key may do ("Account information", "Get API Key Permission").

Knows nothing of who asks.
"""

import msgspec


class Permissions(msgspec.Struct):
    """Flags: the first three are the account's, the others the key's."""

    can_trade: bool = True
    can_withdraw: bool = True
    can_deposit: bool = True
    enable_reading: bool = True
    enable_trading: bool = True
    enable_withdrawals: bool = False
    ip_restricted: bool = False

    def change(self, flags: dict[str, bool]) -> None:
        """Set flags by name, all or none.  Raises `ValueError` for a name or value that is none."""
        for name, value in flags.items():
            if name not in self.__struct_fields__ or not isinstance(value, bool):
                known = ", ".join(self.__struct_fields__)
                raise ValueError(f"{name}={value!r} is no permission; there are {known}")
        for name, value in flags.items():
            setattr(self, name, value)
