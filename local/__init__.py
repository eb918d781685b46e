"""The parts that `make up` starts: the servers, the PayPal simulator, Ray and the demo."""
