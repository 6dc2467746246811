"""Kinds of entries in the quarantine: why a recording, or one that it was to be compared with, is not there."""

BAD, DROPPED = "bad", "dropped"  # could not be used; the manifest does not want it, as its samples tell
DUPLICATE, NEAR_DUPLICATE = "duplicate", "near-duplicate"  # stands in a more protected split
UNLABELLED, NOT_LISTED = "unlabelled", "not listed"  # nobody can say whether it belongs; not in the file of the split
HELD_OUT, NOISE = "held out", "unlabelled noise"  # of no recording of the dataset: not compared; without a label

PLANNED = (BAD, DROPPED, DUPLICATE, NEAR_DUPLICATE)  # was to become an item
UNPLANNED = (UNLABELLED, NOT_LISTED)
BESIDE = (HELD_OUT, NOISE)
