"""THE MAIN FLOW. Start reading here: a study from left to right, one function for each arrow.

    receive -> store ......... no function: `receive` answers a C-STORE once `store` has the bytes on disk, and the
                               container itself is the hand-over
    store -> complete ........ completing.arrival.take_in: new instances, forwarding of originals, when their series
                               falls due; completing.forwarding.foresee before its transaction
    complete -> route ........ completing.completion.complete_due: a generation, its facts, what the rules decide, the
                               work
    route -> enhance ......... no function: the ledger (`jobs`); workers claim
    enhance -> derive ........ enhancing.job.run_job: decode, network, guards, derived instances, the fenced commit
    derive -> deliver ........ delivering.outputs.plan_outputs: committed outputs to the destinations of the rules that
                               asked
    deliver -> kept .......... commitment.confirming.confirm_due: destinations say whether they keep what they took

One package for each part of the way: `completing`, `enhancing` (and `enhancing.asked`, work that somebody wants by
hand), `delivering`, `commitment`. Beside it stand `head_start`: idle workers enhance slices of series that still come
in, for their jobs to take; `outdated`: what was derived from a source that turned out wrong, and who is told of it; and
`upkeep`: retention, the doctor, a node among others.

Every step changes SQL in one transaction together with the audit events that tell of it. This package is the only one
that knows more than one room; `context.Flow` is what every step is given.
"""

from dicomnode.flow.completing.arrival import take_in
from dicomnode.flow.completing.completion import complete_due
from dicomnode.flow.completing.forwarding import foresee
from dicomnode.flow.context import Flow
from dicomnode.flow.delivering.outputs import plan_outputs
from dicomnode.flow.enhancing.job import run_job

__all__ = ["Flow", "complete_due", "foresee", "plan_outputs", "run_job", "take_in"]
