"""The subcommands of `plumbline`, one file a noun; `plumbline.py` names them."""
