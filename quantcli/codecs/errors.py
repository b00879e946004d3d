"""What codecs of private messages raise.  Knows no exchange."""


class CodecError(ValueError):
    """A text is not the message it should be: no JSON, cut off, another body, an impossible number."""
