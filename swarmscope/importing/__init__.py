"""`swarmscope import`: converts the data of another system into records.

    file ─▶ row_source: rows of text, in order of time ─▶ row_reader: one record or one refusal per row ─▶ log_folder or coordinator

Each value is read as text, for every kind of file. One rule converts texts to values, and a bad row affects only itself.
"""
