"""HTTP below the routes: listeners, limits of a connection, headers, small bodies and answers."""
