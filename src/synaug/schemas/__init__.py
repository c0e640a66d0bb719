"""The content of a run's JSON files as types: for mypy, for validation, and for the schema that users print.

They are typed dicts: a file is read into one and written from one unchanged, and later versions may add keys.
"""

from synaug.schemas.amount_file import Amount, Decision, Gain, Gains, Round
from synaug.schemas.choice_file import Candidate, Choice, Rival
from synaug.schemas.comparisons import Behind, ClassRecall, Comparison, CrossValidation, Difference, MethodScores, Score
from synaug.schemas.data import Account, Counts, Data, LeftOutEntry
from synaug.schemas.gap import Audit, Gap, GapOfImages, Light, MeasuredGap
from synaug.schemas.report_file import Confusions, Plan, Report, Synthesis, Training, report_schema
from synaug.schemas.result import GroupScores, Intervals, Registered, Result, Scores, SeedScores

__all__ = [
    "Account",
    "Amount",
    "Audit",
    "Behind",
    "Candidate",
    "Choice",
    "ClassRecall",
    "Comparison",
    "Confusions",
    "Counts",
    "CrossValidation",
    "Data",
    "Decision",
    "Difference",
    "Gain",
    "Gains",
    "Gap",
    "GapOfImages",
    "GroupScores",
    "Intervals",
    "LeftOutEntry",
    "Light",
    "MeasuredGap",
    "MethodScores",
    "Plan",
    "Registered",
    "Report",
    "Result",
    "Rival",
    "Round",
    "Score",
    "Scores",
    "SeedScores",
    "Synthesis",
    "Training",
    "report_schema",
]
