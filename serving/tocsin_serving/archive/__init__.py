"""The batch scorer: an archive of any size in, a folder of results out, with nothing lost."""
