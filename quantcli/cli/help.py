"""`quant help`: pages on topics, on kinds of errors, and on verbs."""

from typing import Annotated

import typer

from quantcli.cli.output import Output, OutputOption, document, emit
from quantcli.errors import NotFoundError

TopicArgument = Annotated[
    str | None, typer.Argument(metavar="[TOPIC|CODE|VERB]", help="QNT-101, a topic, or a verb.")
]


def command(topic: TopicArgument = None, output: OutputOption = Output.TABLE) -> None:
    """Explain a topic (environment, exit-codes, formatting, states), an error's code, or a verb."""
    text = page(topic)
    emit(document("Help", {"topic": topic or "", "text": text}), output, lambda _: text)


def page(topic: str | None) -> str:
    """The text of a page; raises `NotFoundError`."""
    from quantcli.cli.app import VERBS
    from quantcli.cli.catalogue import PAGES, TOPICS

    if topic is None:
        verbs = "\n".join(f"  {name:<12} {verb.summary}" for name, verb in VERBS.items())
        codes = "\n".join(f"  {code}  {page.title}" for code, page in PAGES.items())
        topics = "\n".join(f"  {name}" for name in TOPICS)
        return f"topics\n{topics}\nerrors\n{codes}\nverbs (quant VERB --help)\n{verbs}"
    if topic in TOPICS:
        return TOPICS[topic]
    if topic in VERBS:
        return _of_verb(topic)
    code = topic.upper() if topic.upper().startswith("QNT-") else f"QNT-{topic}"
    if code in PAGES:
        found = PAGES[code]
        return "\n".join(
            [f"{code}: {found.title}", "", f"  what  {found.what}", f"  why   {found.why}"]
            + [f"  {'do' if not number else '':<5} {line}" for number, line in enumerate(found.todo)]
        )
    raise NotFoundError(
        f"there is no page {topic!r}",
        why=f"topics are {', '.join(TOPICS)}; errors are QNT-101 and so on; verbs are those of quant --help",
        todo="quant help",
    )


def _of_verb(verb: str) -> str:
    from quantcli.cli.app import load

    command = load(verb)
    return str(command.get_help(command.context_class(command, info_name=f"quant {verb}")))
