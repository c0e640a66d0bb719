"""Names of the parts of a whole run; each stage enters its own, so that one progress line covers all of them."""

IMAGES, CHOICE, REPORT = "images", "choice", "report"


def training_part(method: str, seed: int) -> str:
    """Return the name of the part that trains a method."""
    return f"{method}, seed {seed}"
