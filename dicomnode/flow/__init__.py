"""THE MAIN FLOW. Start reading here: a study from left to right, one function for each arrow.

    receive -> store ......... no function: `receive` answers a C-STORE once `store` has the bytes on disk, and the
                               container itself is the hand-over
    store -> complete ........ arrival.take_in: new instances, forwarding of originals, when their series falls due
    complete -> route ........ completion.complete_due: a generation, its facts, what the rules decide, the work
    route -> enhance ......... no function: the ledger (`jobs`); workers claim
    enhance -> derive ........ job.run_job: decode, network, guards, derived instances, the fenced commit
    derive -> deliver ........ outputs.plan_outputs: committed outputs to the destinations of the rules that asked
    deliver -> kept .......... confirming.confirm_due: destinations say whether they keep what they took

Ahead of the way goes `head_start`: idle workers enhance slices of series that still come in, for their jobs to take.
Beside it stand `asked`, work that somebody wants by hand; `outdating`, which marks what was derived from a source that
turned out wrong, and `rejecting`, which tells destinations of it; `retention`, which gives up the bytes of series that
are finished with, `export` to files, and `checkup`, the doctor.

Every step changes SQL in one transaction together with the audit events that tell of it. This package is the only one
that knows more than one room.
"""

from dicomnode.flow.arrival import take_in
from dicomnode.flow.completion import complete_due
from dicomnode.flow.context import Flow
from dicomnode.flow.job import run_job
from dicomnode.flow.outputs import plan_outputs

__all__ = ["Flow", "complete_due", "plan_outputs", "run_job", "take_in"]
