"""What `make up` starts on one machine: the servers, the PayPal simulator, Ray and the demo."""
