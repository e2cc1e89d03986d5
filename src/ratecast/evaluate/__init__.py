"""How good a model is, and how sure that is: arrays in; metrics, intervals, a contest and a report out."""

from ratecast.evaluate.bootstrap import Difference, bootstrap_intervals, paired_difference
from ratecast.evaluate.calibration import (
    CalibrationTest,
    Reliability,
    calibration_test,
    expected_calibration_error,
    reliability,
)
from ratecast.evaluate.comparison import Comparison, run_comparison
from ratecast.evaluate.comparison_report import write_comparison
from ratecast.evaluate.contest import Contest, Entry, run_contest
from ratecast.evaluate.coverage import Coverage, interval_coverage
from ratecast.evaluate.metrics import (
    METRICS,
    MetricInfo,
    Metrics,
    accuracy,
    compute_metrics,
    mean_absolute_error,
    mean_squared_error,
    negative_log_likelihood,
    quadratic_weighted_kappa,
    ranked_probability_score,
    root_mean_squared_error,
    spearman_correlation,
    within_one_level,
)
from ratecast.evaluate.report import CurvePoint, write_report

__all__ = [
    "METRICS",
    "MetricInfo",
    "Metrics",
    "compute_metrics",
    "bootstrap_intervals",
    "paired_difference",
    "Difference",
    "run_contest",
    "Contest",
    "Entry",
    "run_comparison",
    "Comparison",
    "write_report",
    "write_comparison",
    "CurvePoint",
    "reliability",
    "Reliability",
    "calibration_test",
    "CalibrationTest",
    "interval_coverage",
    "Coverage",
    "accuracy",
    "within_one_level",
    "quadratic_weighted_kappa",
    "spearman_correlation",
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_absolute_error",
    "negative_log_likelihood",
    "ranked_probability_score",
    "expected_calibration_error",
]
