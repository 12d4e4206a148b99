import threading

import duckdb

from feedback_analysis.duckdb_database import close_database, open_database


def test_a_database_closes_while_other_threads_open_cursors():
    for _ in range(20):  # DuckDB refuses to close in two of three tries
        database = open_database(temp="")
        opened, refusals = threading.Barrier(4), []

        def open_cursors(database=database, opened=opened, refusals=refusals) -> None:
            opened.wait()
            try:
                while True:
                    database.cursor().close()
            except duckdb.Error as error:
                refusals.append(type(error))

        threads = [threading.Thread(target=open_cursors) for _ in range(3)]
        for thread in threads:
            thread.start()
        opened.wait()
        close_database(database)
        for thread in threads:
            thread.join(60)
        assert refusals == [duckdb.ConnectionException] * 3
