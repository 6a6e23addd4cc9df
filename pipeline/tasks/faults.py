"""Why a clip that was read is not written: every reason there is."""

import dataclasses

NO_LANDMARKS = "no_landmarks"
NO_METADATA = "no_metadata"
EMPTY_LABEL = "empty_label"
UNKNOWN_CHARACTERS = "unknown_characters"
UNKNOWN_CLASS = "unknown_class"
NOT_WHOLE_FRAMES = "not_whole_frames"
WRONG_POINTS = "wrong_points"
DUPLICATE = "duplicate_sequence"
OUT_OF_ORDER = "frames_out_of_order"
BAD_TABLE = "bad_table"
REPEATED_FRAMES = "repeated_frame_numbers"
LOW_SCORE = "low_score"


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with a clip: one of the reasons of this module, and the detail in words."""

    reason: str
    detail: str
