"""A corpus anyone can make: voices that say digits, and noise, in the layouts of gsc and ms_snsd."""

from at_data.synth.corpus import Made, counts, synthesise

__all__ = ["Made", "counts", "synthesise"]
