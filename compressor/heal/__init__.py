"""Healing: LoRA on the pruned model, merged into its unquantised weights."""
