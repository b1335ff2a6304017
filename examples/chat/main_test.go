package main

func Example() {
	main()
	// Output:
	// ada has read 100 of 100 and missed 0; the last one was "it is 16m40s"
	// bob has read 22 of 100 and missed 78; the last one was "it is 16m40s"
	// eve has read 100 of 100 and missed 0; the last one was "it is 16m40s"
}
