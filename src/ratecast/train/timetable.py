"""How the time that is left is shared between training a network and the scoring that has to follow."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ratecast.data.split import judged_reviews
from ratecast.train.speed import Speed


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """What is to be scored within the time that is left, and how fast that goes.

    Attributes:
        time_left: seconds that are left for training and scoring; None without a limit.
        training: training reviews, which the members of an ensemble score for the network that learns from them.
        validation: validation reviews that training is stopped by.
        after: reviews that the finished model scores.
        seconds_after: what each of them takes besides the backbone, in seconds.
        reviews_per_second: reviews that the network encodes in a second, measured.
        graph_reviews_per_second: reviews that the exported graph reads in a second, reckoned.
        is_read_once: whether what the network makes of the validation reviews is kept, as where its head alone is trained.
    """

    time_left: Callable[[], float] | None
    training: int
    validation: int
    after: int
    seconds_after: float
    reviews_per_second: float = float("nan")
    graph_reviews_per_second: float = float("nan")
    is_read_once: bool = False

    def measured(self, speed: Speed, tokens: float) -> "Timetable":
        """The same with the speed of this machine, for reviews of so many tokens on average."""
        return replace(self, reviews_per_second=speed.encoding / tokens, graph_reviews_per_second=speed.graph / tokens)

    def slowed(self, share: float) -> "Timetable":
        """The same where the machine turns out to have that share of the speed; one above 1 changes nothing."""
        slower = min(1.0, share)
        return replace(
            self,
            reviews_per_second=slower * self.reviews_per_second,
            graph_reviews_per_second=slower * self.graph_reviews_per_second,
        )

    def judging(self, judged: int) -> "Timetable":
        """The same with no more reviews to score afterwards than are judged."""
        return replace(self, after=min(self.after, judged))

    def judged(self, reviews: int) -> int:
        """How many of the test reviews the time allows to judge on."""
        if self.time_left is None:
            return reviews
        return judged_reviews(reviews, seconds=self.time_left(), seconds_per_review=self._seconds_judged)

    def left(self, networks: int) -> float | None:
        """Seconds for one of the networks that are left, up to its best weights; None without a limit."""
        return None if self.time_left is None else self.of_network(self.time_left(), networks)

    def with_trained(self, layers: int) -> "Timetable":
        """The same where so many layers are trained."""
        return replace(self, is_read_once=layers == 0)

    def planner(self, speed: Speed, networks: int) -> Callable[[float, int], float] | None:
        """The same before the head's first fit, by the mean tokens of a review and the layers to train; None without a limit.

        Args:
            speed: of this machine.
            networks: how many are left.
        """
        if self.time_left is None:
            return None
        left = self.time_left()

        def seconds(tokens: float, trained_layers: int) -> float:
            read = self.measured(speed, tokens).with_trained(trained_layers)
            of_fit = read.validation / read.reviews_per_second  # which the fit of the head reads
            return read.of_network(left, networks) - of_fit

        return seconds

    def of_network(self, left: float, networks: int) -> float:
        """What one of the networks has, of so many seconds that are left for all."""
        scored = 0.0 if self.is_read_once else self.validation / self.reviews_per_second  # at the end, when its time is over
        taught = (networks - 1) * (scored + self.training / self.reviews_per_second)
        return (left - scored - self.after * self._seconds_judged - taught) / networks

    @property
    def _seconds_judged(self) -> float:
        """What scoring a review with the finished model takes."""
        return 1 / self.graph_reviews_per_second + self.seconds_after
