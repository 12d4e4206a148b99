"""Where sealed logs lie: their files, the index of them, which are offered, and when they are removed. Today that is a folder."""
