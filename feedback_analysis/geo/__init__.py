"""Geolocation: the country, area, district and ISP of an address, or the explicit value that it is not known."""
