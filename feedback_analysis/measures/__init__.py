"""The definition of each measure: selection of records, partials, merging, final numbers. Engines hold the records."""
