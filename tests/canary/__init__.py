"""The watch over the whole test run: no planted secret and no full phone number comes out anywhere. See fix_canary."""
