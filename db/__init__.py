"""PostgreSQL: tables, migrations, and one file of queries an area; queries never commit."""
