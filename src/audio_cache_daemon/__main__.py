"""`python -m audio_cache_daemon` is the command `audio-cache-daemon`."""

from audio_cache_daemon.cli import main

if __name__ == "__main__":
    main()
