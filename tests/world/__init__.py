"""A simulated world around the production core of the kernel, in virtual time, repeatable to the last bit.

    choices      where every choice comes from: a seed, a tape, a search
    timeline     what happens when
    swarm        which faults are on in one run, and how strong
    personality  how one kind of exchange behaves, and which clauses of its contract it breaks
    shipped      the exchanges of the manifests, as personalities
    account      the truth on the exchange: orders, trades, positions      book  one order of it
    venue        the exchange as requests meet it: the engine that decides, copies that lag
    network      the way there and back
    disk         what survives a crash
    process      the production core, its outbox, and its deaths
    users        traders, operators and strangers on the account
    oracle       invariants, checked as it happens       ends   what must be true when all is calm again
    marks        whether anything interesting happened at all
    run          one run: safety mode, liveness mode, convergence
    crashpoints  the same run again, crashing at each place where it can
    shrink, story     from a failing run to a short one, told in lines

The smaller a choice the more ordinary the world: an empty tape is one order that fills at once.
"""
