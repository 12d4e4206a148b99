"""From log files to verified rows: frames are walked and checksums compared before an engine sees a byte."""
