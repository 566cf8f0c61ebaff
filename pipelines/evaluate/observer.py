"""A channelised Hotelling observer with Laguerre-Gauss channels: how well a lesion of known form and place is seen.

After Gallas and Barrett, "Validating the use of channels to estimate the ideal linear observer", J Opt Soc Am A 20
(2003), 1725, as the FDA's studies of CT denoisers use it. The observer has no internal noise, and knows the background:
responses are taken as deviations from their mean at the same place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_laguerre

Array = NDArray[np.float64]
CHANNELS = 5


def channels(size: int, width: float) -> Array:
    """Laguerre-Gauss channels of a Gaussian `width` in px, centred in `size` x `size` px. (CHANNELS, size, size).

    sqrt(2)/a exp(-pi r^2/a^2) L_p(2 pi r^2/a^2): orthonormal over the plane.
    """
    axis = np.arange(size) - (size - 1) / 2
    square = (axis[:, None] ** 2 + axis[None] ** 2) / width**2
    envelope = np.sqrt(2) / width * np.exp(-np.pi * square)
    return np.stack([envelope * eval_laguerre(order, 2 * np.pi * square) for order in range(CHANNELS)])


@dataclass(frozen=True)
class Responses:
    """Channel responses to pairs of regions, without and with the lesion in the same noise.

    absent, present (N, CHANNELS); place (N,) which background; case (N,) which slice.
    """

    absent: Array
    present: Array
    place: NDArray[np.int64]
    case: NDArray[np.int64]

    def blend(self, towards: "Responses", strength: float) -> "Responses":
        """The responses of a blend of two images, since channels are linear."""
        absent, present = (
            (1 - strength) * a + strength * b
            for a, b in ((self.absent, towards.absent), (self.present, towards.present))
        )
        return Responses(absent, present, self.place, self.case)

    def of(self, cases: NDArray[np.int64]) -> "Responses":
        """The pairs from these slices."""
        rows = np.isin(self.case, cases)
        return Responses(self.absent[rows], self.present[rows], self.place[rows], self.case[rows])


def spread(values: Array, place: NDArray[np.int64]) -> tuple[Array, Array]:
    """Deviations from the mean of the same place (N, C), and the pooled covariance (C, C) within places."""
    _, index, counts = np.unique(place, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, index, values)
    deviations = values - (sums / counts[:, None])[index]
    return deviations, deviations.T @ deviations / (len(values) - len(counts))


def template(training: Responses) -> Array:
    """The Hotelling template, (CHANNELS,)."""
    signal = (training.present - training.absent).mean(0)
    covariance = (spread(training.absent, training.place)[1] + spread(training.present, training.place)[1]) / 2
    solved: Array = np.linalg.solve(covariance, signal)
    return solved


@dataclass(frozen=True)
class Detectability:
    """d' by a template learned on the other half of the slices (a little low), and on the same regions (a little high).

    `draws` are d' over slices drawn again with replacement, the templates kept: for intervals, also of differences
    between methods, whose draws are of the same slices.
    """

    value: float
    same: float
    draws: Array

    @property
    def interval(self) -> tuple[float, float]:
        """The middle 95 % of the draws."""
        low, high = np.percentile(self.draws, [2.5, 97.5])
        return float(low), float(high)


def detectability(responses: Responses, draws: int = 300) -> Detectability:
    """d' with slices of even and of odd rank as each other's training; at least two slices in each half."""
    cases = np.unique(responses.case)
    halves = [responses.of(cases[0::2]), responses.of(cases[1::2])]
    scored = [_scores(test, template(train)) for train, test in (halves, halves[::-1])]
    rng = np.random.default_rng(20030817)
    values = np.mean([_separation(scores, np.ones(len(scores))) for scores in scored])
    again = [
        float(
            np.mean(
                [_separation(scores, rng.multinomial(len(scores), _even(scores)).astype(float)) for scores in scored]
            )
        )
        for _ in range(draws)
    ]
    same = _separation(_scores(responses, template(responses)), np.ones(len(cases)))
    return Detectability(float(values), same, np.array(again))


def _scores(test: Responses, weights: Array) -> Array:
    """For each slice: pairs, sum of differences, squared deviations within places, and their degrees of freedom."""
    absent, present = test.absent @ weights, test.present @ weights
    rows = []
    for case in np.unique(test.case):
        own = test.case == case
        place = test.place[own]
        squares = sum(float((spread(v[own, None], place)[0] ** 2).sum()) for v in (absent, present))
        rows.append((own.sum(), (present - absent)[own].sum(), squares / 2, own.sum() - len(np.unique(place))))
    return np.array(rows, float)


def _separation(scores: Array, times: Array) -> float:
    """d' from the slices' sums, each counted so many times."""
    pairs, difference, squares, freedom = times @ scores
    return float(difference / pairs / np.sqrt(squares / freedom))


def _even(scores: Array) -> Array:
    return np.full(len(scores), 1 / len(scores))
