"""Who is at the page: sessions, the guard, login."""
