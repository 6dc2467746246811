"""Task datasets in, networks that ignore what another network knows out."""
