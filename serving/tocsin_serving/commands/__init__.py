"""The commands of ``tocsin``, a file each; what is heavy is imported inside the function."""
