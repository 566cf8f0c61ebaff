"""A control chart for a number that comes with every series: exponentially weighted moving average.

Roberts, Technometrics 1(3), 1959. The first series teach mean and spread; after that

    e(t) = l x(t) + (1 - l) e(t-1),   e(0) = mean

and the chart is out of control where e leaves mean +- k s sqrt(l / (2 - l) (1 - (1 - l)^2t) + 1/n). The term 1/n is
not in the textbook: the mean of n series is itself uncertain, and with twenty of them that is not little.
"""

import math
from dataclasses import dataclass, replace

WEIGHT = 0.2
LEARNING = 20
"""Series that teach mean and spread."""
SIGMAS = 3.45
"""Three sigmas of a normal distribution whose spread is known are 3.45 of Student's t with 19 degrees of freedom:
twenty series do not know the spread well."""


@dataclass(frozen=True)
class Chart:
    """The state after `count` values. `squares` is the sum of squared deviations from the mean while learning."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    average: float = 0.0

    @property
    def learning(self) -> bool:
        return self.count < LEARNING

    def after(self, value: float) -> "Chart":
        """The state after one more value."""
        if not self.learning:
            return replace(self, count=self.count + 1, average=WEIGHT * value + (1 - WEIGHT) * self.average)
        count, shift = self.count + 1, value - self.mean
        mean = self.mean + shift / count
        return Chart(count, mean, self.squares + shift * (value - mean), mean)

    def limits(self, least_spread: float) -> tuple[float, float] | None:
        """Between what the average may lie, or None while learning.

        `least_spread` is the smallest standard deviation that is believed: a few like series prove no precision.
        """
        if self.learning:
            return None
        spread = max(math.sqrt(self.squares / (LEARNING - 1)), least_spread)
        settled = 1 - (1 - WEIGHT) ** (2 * (self.count - LEARNING))
        reach = SIGMAS * spread * math.sqrt(WEIGHT / (2 - WEIGHT) * settled + 1 / LEARNING)
        return self.mean - reach, self.mean + reach

    def out_of_control(self, least_spread: float) -> bool:
        """Whether the average has left its limits."""
        limits = self.limits(least_spread)
        return limits is not None and not limits[0] <= self.average <= limits[1]
