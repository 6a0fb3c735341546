"""The conversations of one person: encrypted on disk once they set a passphrase, in memory until then."""
