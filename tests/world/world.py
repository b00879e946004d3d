"""One world, put together: everything in it shares a timeline and one source of choices."""

from quantcli.kernel.policy import Policy

from .account import Account
from .choices import Choices
from .disk import Disk
from .ends import Ends
from .marks import Marks
from .network import Network
from .oracle import Oracle
from .personality import Personality
from .process import Process
from .swarm import Faults
from .timeline import Timeline
from .trace import Trace
from .users import Users
from .venue import Venue

_S = 1_000_000_000


class World:
    """The parts, by name."""

    def __init__(
        self, choices: Choices, personality: Personality, faults: Faults, tells: bool = False
    ) -> None:
        self.choices, self.personality = choices, personality
        self.timeline = Timeline()
        self.marks = Marks()
        self.trace = Trace(self.timeline, tells)
        self.disk = Disk()
        self.oracle = Oracle(self.disk, self.timeline, personality, self.marks)
        self.account = Account(choices, self.timeline, personality, self.oracle, self.marks)
        self.venue = Venue(choices, self.timeline, personality, self.account, self.marks, self.trace)
        self.network = Network(choices, self.timeline, self.oracle, self.marks, self.trace)
        policy = Policy(venue=personality.contract)
        parts = choices, self.timeline, self.disk
        self.process = Process(*parts, self.network, self.oracle, policy, self.marks, self.trace)
        self.users = Users(*parts, self.venue, self.process, self.marks, self.trace)
        self.ends = Ends(self.disk, self.account, personality, self.process, self.oracle)
        self.network.venue, self.network.deliver = self.venue, self.process.receive
        self.venue.network = self.network
        self.account.tell, self.account.stream = self.venue.tell, self.network.stream
        self.faults = faults
        self.process.clock_error_ns = faults.clock_error_ns

    @property
    def faults(self) -> Faults:
        """The faults that are on."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        for part in (self.network, self.venue, self.account, self.process):
            part.faults = faults

    def set_clock(self, position: int) -> None:
        """Let the exchange's clock be anywhere within what is announced: 0 … 4."""
        self.account.skew_ns = self.process.clock_error_ns * (0, 2, -2, 1, -1)[position] // 2

    def heal(self) -> None:
        """Everything that is cut or stuck works again."""
        now_ns, network = self.timeline.now_ns, self.network
        network.requests_cut_until_ns = network.stream_cut_until_ns = now_ns
        network.there_stuck_until_ns = network.back_stuck_until_ns = now_ns
        self.venue.closed_until_ns = now_ns
        self.process.paused_until_ns = now_ns
        self.set_clock(0)  # whoever translates times has sampled it anew

    def advance(self, seconds: float) -> None:
        """Let time pass, and happen what is due."""
        timeline, process = self.timeline, self.process
        end_ns = timeline.now_ns + round(seconds * _S)
        while True:
            next_ns, tick_ns = timeline.next_ns(), process.next_tick_ns()
            if tick_ns is not None and tick_ns <= end_ns and (next_ns is None or tick_ns <= next_ns):
                timeline.now_ns = max(tick_ns, timeline.now_ns)
                process.tick()
            elif next_ns is not None and next_ns <= end_ns:
                timeline.do_next()
            else:
                break
        timeline.now_ns = end_ns
