"""The pure steps from a stretch of a file to a spectrogram in a split, in the order of the road."""
